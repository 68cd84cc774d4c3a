"""Which way leads to each branch, and what each process does where branches part; forks are made up here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import trio

import detrun
from detrun.counterfactuals import branches as module
from detrun.counterfactuals.branch import Branch
from detrun.counterfactuals.branches import Branches, _ForkedBranches, _with_force
from detrun.execution.options import Options
from detrun_recorder.snapshots import IN_CHILD
from detrun_scheduler.errors import DetrunError

A, B, C = ("main", 0), ("main", 1), ("main", 2)


async def three_coins(params: dict[str, float]) -> float:
    """A number with three binary digits."""
    number = 0.0
    for _ in range(3):
        await trio.lowlevel.checkpoint()
        number = 2.0 * number + detrun.bernoulli(params["p"])
    return number


PARAMS = {"p": 0.5}


@pytest.fixture(scope="module")
def base() -> Any:
    return detrun.record(three_coins, PARAMS, seed=1)


def made(base: Any, **options: Any) -> Branches:
    return Branches(three_coins, (PARAMS,), base.recording, Options(**options) if options else None)


class Ways(Branches):
    """Says which way would be taken."""

    def run(self, force: Any, *args: object) -> Any:
        self.costs.step_seconds = 1.0
        return "run", dict(force)

    def _forked(self, forces: Sequence[Any]) -> Any:
        return [("fork", dict(force)) for force in forces]


@pytest.fixture
def ways(base: Any) -> Ways:
    return Ways(three_coins, (PARAMS,), base.recording)


FORCES: list[Any] = [{A: True}, {A: False, B: True}, {C: True}]


@pytest.mark.parametrize("way", ["run", "fork"])
def test_a_way_that_is_asked_for_is_taken(way: str, ways: Ways) -> None:
    assert ways.run_all(FORCES, way) == [(way, force) for force in FORCES]


@pytest.mark.parametrize("is_cheaper", [True, False])
@pytest.mark.parametrize("is_known", [True, False])
def test_one_run_tells_what_a_step_costs_and_then_the_cheaper_way_is_taken(
    is_cheaper: bool, is_known: bool, ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(module, "can_fork", lambda: True)
    ways.costs = SimpleNamespace(  # type: ignore[assignment]
        step_seconds=0.5 if is_known else None, forks_are_cheaper=lambda branches: asked.append(branches) or is_cheaper
    )
    found: Any = ways.run_all(FORCES)
    assert [force for _, force in found] == FORCES
    then = "fork" if is_cheaper else "run"
    assert [way for way, _ in found] == [then if is_known else "run", then, then]
    assert asked == [[[A], [A, B], [C]] if is_known else [[A, B], [C]]]


def test_without_forks_every_branch_is_run(ways: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "can_fork", lambda: False)
    assert [way for way, _ in ways.run_all(FORCES)] == ["run"] * 3  # type: ignore[misc, has-type]


def test_a_branch_has_the_forced_digits_and_tells_what_it_cost(base: Any) -> None:
    branches = made(base)
    assert branches.run({A: True, B: False, C: True}).loss == 5.0
    assert branches.costs.step_seconds is not None
    assert 0.0 < branches.costs.step_seconds < 5.0
    assert branches.run({A: False, B: False}, {"p": 1.0 - 1e-9}).loss == 1.0
    assert made(base, force={A: True}).whole({B: False}) == {A: True, B: False}
    assert made(base, force={A: True}).run({B: True, C: True}).loss == 7.0
    with pytest.raises(detrun.UsageError):
        branches.whole({"main": True})  # type: ignore[dict-item]


def answer_of(branch: Branch, step: int) -> dict[str, Any]:
    return {"branch": branch.packed(), "header": dict(branch.header), "step": step}


def test_answers_of_forks_become_branches_and_those_that_are_missing_are_run(
    base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    branches, threads = made(base), list[Any]()
    monkeypatch.setattr(module, "use_one_thread", lambda: 7)
    monkeypatch.setattr(module, "use_threads", threads.append)
    forced = made(base).run({A: True})
    monkeypatch.setattr(module, "in_fork", lambda body: [answer_of(made(base).run({}), 3), None])
    found = branches._forked([{A: True}, {B: True}])
    assert threads == [7]
    assert branches.costs.draw_steps == {A: 3}
    assert branches.costs.step_seconds is not None  # of the second
    assert found[0].header == forced.header
    assert found[1].recording.to_bytes() == made(base).run({B: True}).recording.to_bytes()

    def fails(body: Any) -> Any:
        raise DetrunError("the base run fails")

    monkeypatch.setattr(module, "in_fork", fails)
    assert [one.loss for one in branches._forked([{A: True, B: True, C: True}] * 2)] == [7.0, 7.0]
    assert threads == [7, 7]


class Forks:
    """Stands for `fork_here` in a greenlet: gives what is next, and notes how it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), list[Any]()

    def __call__(self, body: Any) -> Any:
        assert body is module.fork_here
        return self

    def switch(self, **keywords: Any) -> Any:
        self.asked.append(keywords)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def tree(base: Any, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> tuple[_ForkedBranches, Forks, list[Any]]:
    forks, replies = Forks(*answers), list[Any]()
    monkeypatch.setattr(module, "greenlet", forks)
    monkeypatch.setattr(module, "reply", lambda answers: replies.append(list(answers)))
    return _ForkedBranches(made(base), FORCES), forks, replies


RUN: Any = SimpleNamespace(step_index=9)


def test_the_base_run_forks_once_for_each_branch_at_the_first_draw_that_it_forces(
    base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, forks, replies = tree(base, monkeypatch, "first", "second", "third")
    one.met(RUN, ("main", 99))
    assert forks.asked == []
    one.met(RUN, A)
    assert forks.asked == [{"quiet": True}] * 2
    assert (one.answers, one.left, one.mine) == (["first", "second", None], {2}, -1)
    one.met(RUN, B)  # the second has parted
    assert len(forks.asked) == 2
    assert replies == []
    one.met(RUN, C)  # and with the last one nothing is left to wait for
    assert replies == [["first", "second", "third"]]


def test_a_fork_goes_on_with_what_its_branch_forces_and_forks_no_more(
    base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, forks, replies = tree(base, monkeypatch, "first", IN_CHILD)
    assert one.table == {}
    one.met(RUN, A)
    assert (one.mine, one.parted, one.table) == (1, 9, {A: False, B: True})
    one.met(RUN, C)
    assert len(forks.asked) == 2
    assert replies == []
    one, forks, replies = tree(base, monkeypatch, IN_CHILD)
    one.met(RUN, A)
    assert (one.mine, len(forks.asked)) == (0, 1)
    one.left = set()
    one.met(RUN, C)
    assert replies == []


def test_where_no_fork_can_be_made_the_branch_is_left_to_re_execution(
    base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _, replies = tree(base, monkeypatch, OSError("no memory"), DetrunError("no fork"), "third")
    one.met(RUN, A)
    one.met(RUN, C)
    assert replies == [[None, None, "third"]]


def test_each_process_replies_with_its_run(base: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one, _, _ = tree(base, monkeypatch, "first", "second", "third")
    one.left, one.waiting = {1, 2}, {}
    first, second, third = one.execute()
    assert first is None
    assert second == third == answer_of(made(base).run({}), base.recording.steps)
    one.mine, one.parted, one.table = 0, 4, {A: True, B: True, C: True}
    answer: Mapping[str, Any] = one.execute()
    assert (answer["step"], answer["branch"]["loss"]) == (4, 7.0)


def test_the_header_of_a_branch_is_that_of_the_base_run_with_what_it_forces() -> None:
    of_base = {"seed": 3, "extra": {"what_if_of": "base", "force": "old", "kept": 1}}
    assert _with_force(of_base, {}) == {"seed": 3, "extra": {"kept": 1, "what_if_of": "base"}}
    forced = _with_force(of_base, {A: True})
    assert list(forced["extra"]) == ["kept", "force", "what_if_of"]
    assert forced["extra"]["force"] == Options(force={A: True}).header()["force"]
    assert of_base["extra"]["force"] == "old"
