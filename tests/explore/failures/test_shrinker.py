"""The passes of shrinking, each on a program that is a table of steps: what they try, in which order, and keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from detrun.execution.options import Options
from detrun.explore.campaign.program import Program
from detrun.explore.failures import shrink_schedule
from detrun.explore.failures.shrink_schedule import Shrunk, _joined, _Shrinker, _simplest, _stretches, shrink
from detrun.explore.failures.time_limit import TimeLimit
from detrun.explore.failures.trials import Trial, TrialRunner, Turn
from tests.explore.racy_programs import lost_update

Order = list[str]


@dataclass
class Model:
    """Tasks that each take so many steps and can always go on; a run fails if ``fails`` says so of its order."""

    steps: dict[str, int]
    fails: Callable[[Order], object]
    budget: int = 10_000
    used: int = 0
    tried: list[Any] = field(default_factory=list)

    is_cut = False

    @property
    def is_used_up(self) -> bool:
        return self.used >= self.budget

    def run(self, choose: Callable[[dict[str, int], str], str | None]) -> Trial:
        taken, last, order = dict.fromkeys(self.steps, 0), "", []
        turns, preemptions = [], []
        while runnable := [task for task in self.steps if taken[task] < self.steps[task]]:
            default = last if last in runnable else runnable[0]
            then = choose(taken, last)
            if then not in runnable:
                then = default
            if then != default:
                turns.append(Turn(last, taken.get(last, 0), then))
                preemptions.append(last in runnable)
            taken[then] += 1
            last = then
            order.append(then)
        found = self.fails(order)
        signature: Any = found or None
        return Trial(b"", signature, None, turns, preemptions, len(set(order)), len(order), order)

    def try_turns(self, turns: Sequence[Turn]) -> Trial | None:
        if self.is_used_up:
            return None
        self.used += 1
        self.tried.append(list(turns))
        wanted = {(turn.task, turn.steps): turn.then for turn in turns}
        return self.run(lambda taken, last: wanted.get((last, taken.get(last, 0))))

    def try_order(self, order: Sequence[str], turns: Sequence[Turn] = ()) -> Trial | None:
        if self.is_used_up:
            return None
        self.used += 1
        self.tried.append(tuple(order))
        places: dict[str, list[int]] = {}
        for at, task in enumerate(order):
            places.setdefault(task, []).append(at)
        return self.run(
            lambda taken, last: min(
                (task for task in self.steps if taken[task] < len(places.get(task, ()))),
                key=lambda task: places[task][taken[task]],
                default=None,
            )
        )

    def shrinker(self, order: Order) -> _Shrinker:
        """Of the failing schedule with this order; what was tried for it is forgotten."""
        trial = self.try_order(order)
        assert trial is not None
        assert trial.order == order
        assert trial.signature
        self.used, self.tried = 0, []
        return _Shrinker(self, trial)  # type: ignore[arg-type]


def b_after_first_a(order: Order) -> bool:
    """A step of ``b`` comes between the first and the last of ``a``."""
    last = len(order) - 1 - order[::-1].index("a")
    return "b" in order[order.index("a") : last]


def test_all_preemptions_but_the_one_that_matters_go() -> None:
    model = Model({"a": 4, "b": 4, "c": 2}, b_after_first_a)
    shrinker = model.shrinker(list("acbabcabab"))
    assert shrinker.best.cost[0] == 7
    shrinker.minimize()
    assert shrinker.best.turns == [Turn("a", 1, "b")]
    assert shrinker.best.cost == (1, 3, 1, 10)
    assert shrinker.best.order == list("abbbbaaacc")
    assert model.used == 10  # groups, then preemptions, then all turns, orders, places


def test_two_that_matter_stay_and_come_early() -> None:
    def fails(order: Order) -> bool:
        text = "".join(order)
        return 0 < text.find("b") < text.find("c") < text.rfind("a")

    model = Model({"a": 3, "b": 3, "c": 3}, fails)
    shrinker = model.shrinker(list("aabbccbac"))
    shrinker.minimize()
    assert shrinker.best.turns == [Turn("a", 1, "b"), Turn("b", 3, "c")]
    assert model.used == 22


def test_all_preemptions_of_one_task_are_taken_out_at_once() -> None:
    def fails(order: Order) -> bool:
        return order[:3] == ["a", "b", "a"]

    model = Model({"a": 9, "b": 9, "c": 9}, fails)
    shrinker = model.shrinker(list("aba" + "bcbcbcbcbcbcbcbc" + "aaaaaaa" + "c"))
    shrinker.remove_groups()
    # None at all; none in favour of b, of which there are most, then of c; none that takes b off, then c.
    assert [len(turns) for turns in model.tried] == [1, 10, 12, 3, 3]
    assert {(turn.task, turn.then) for turn in model.tried[1]} == {("b", "a"), ("b", "c"), ("c", "a")}
    assert shrinker.best.turns == [
        *(Turn("a", 1, "b"), Turn("b", 1, "a"), Turn("a", 2, "b")),
        *(Turn("b", 9, "c"), Turn("c", 8, "a")),
    ]


def test_a_schedule_is_taken_over_only_if_it_fails_alike_at_no_higher_cost() -> None:
    model = Model({"a": 2, "b": 2}, lambda order: {"abab": "x", "abba": "x", "baab": "y"}.get("".join(order)))
    shrinker = model.shrinker(list("abba"))
    assert not shrinker.better([Turn("", 0, "b"), Turn("b", 1, "a")])  # another failure
    assert not shrinker.better([])  # passes
    assert not shrinker.better([Turn("a", 1, "b"), Turn("b", 1, "a")])  # abab: costs more
    assert shrinker.best.order == list("abba")
    assert not shrinker.better(shrinker.best.turns)  # the same
    shrinker.best = replace(shrinker.best)
    shrinker.best.cost = (9, 9, 9, 9)
    assert shrinker.better([Turn("a", 1, "b")])
    assert shrinker.best.cost == (1, 2, 1, 4)
    assert not shrinker.better_order(list("abba"))  # costs as much
    model.used = model.budget
    assert not shrinker.better([])
    assert not shrinker.better_order(list("aabb"))


@pytest.mark.parametrize(
    ("least", "at", "tried"),
    [(13, 30, [1, 16]), (17, 30, [1, 16, 23]), (3, 6, [1, 2, 3]), (1, 30, [1]), (5, 8, [1, 2, 3, 6])],
)
def test_a_turn_comes_as_early_as_it_can_by_steps_and_then_by_halves(least: int, at: int, tried: list[int]) -> None:
    model = Model({"a": 40, "b": 1}, lambda order: order.index("b") >= least)
    shrinker = model.shrinker(["a"] * at + ["b"] + ["a"] * (40 - at))
    shrinker.shorten()
    assert [turns[0].steps for turns in model.tried] == tried
    assert shrinker.best.turns == [Turn("a", tried[-1], "b")]


def test_stretches_are_joined_both_ways() -> None:
    assert _stretches(list("aabca")) == [("a", 2), ("b", 1), ("c", 1), ("a", 1)]
    assert list(_joined(_stretches(list("aabca")), 0)) == [tuple("aaabc"), tuple("bcaaa")]
    assert list(_joined(_stretches(list("xabbac")), 1)) == [tuple("xaabbc"), tuple("xbbaac")]
    assert list(_joined(_stretches(list("abc")), 0)) == []


def test_merging_saves_two_preemptions_where_no_single_turn_can_go() -> None:
    def fails(order: Order) -> bool:
        text = "".join(order)
        return text in ("abacac", "aabcac", "aabacc", "abaacc")

    model = Model({"a": 3, "b": 1, "c": 2}, fails)
    shrinker = model.shrinker(list("abacac"))
    shrinker.merge()
    assert shrinker.best.cost[0] < 2
    orders = [one for one in model.tried if isinstance(one, tuple)]
    assert len(orders) == len(set(orders)), "an order is tried once"


def test_merging_stops_with_the_budget_and_without_preemptions() -> None:
    model = Model({"a": 3, "b": 3}, b_after_first_a)
    shrinker = model.shrinker(list("ababab"))
    model.budget = 1
    shrinker.merge()
    assert model.used == 1
    sequential = Model({"a": 1, "b": 1}, lambda order: True)
    shrinker = sequential.shrinker(["a", "b"])
    shrinker.merge()
    assert sequential.tried == []


def test_schedules_of_one_turn_are_tried_where_turns_were_first() -> None:
    model = Model({"a": 3, "b": 2}, lambda order: order in (list("babaa"), list("aabba")))
    shrinker = model.shrinker(list("babaa"))
    assert [*shrinker.best.turns] == [Turn("", 0, "b"), Turn("b", 1, "a"), Turn("a", 1, "b")]
    shrinker.single(50)
    assert model.tried == [
        [Turn("", 0, "b")],
        [Turn("", 0, "a")],
        [Turn("b", 1, "a")],
        [Turn("a", 1, "b")],
        [Turn("a", 2, "b")],
    ]
    assert shrinker.best.order == list("aabba")


def test_schedules_of_one_turn_have_a_share_of_the_budget() -> None:
    model = Model({"a": 3, "b": 2}, lambda order: order == list("babaa"))
    shrinker = model.shrinker(list("babaa"))
    shrinker.single(3)
    assert model.used == 3
    of_one = Model({"a": 2, "b": 2}, b_after_first_a)
    shrinker = of_one.shrinker(list("abba"))
    shrinker.single(50)
    assert of_one.tried == [], "it has one turn already"


def shrunk(**fields: Any) -> Shrunk:
    trial = Model({"a": 1}, lambda order: True).try_turns([])
    assert trial is not None
    trial.faults = fields.pop("faults", {})
    return Shrunk((5, 3, 1_200, 40), (1, 2, 1, 1), 1, fields.pop("complete", True), trial, **fields)


@pytest.mark.parametrize(
    ("fields", "end"),
    [
        ({}, ""),
        ({"complete": False}, " (stopped early)"),
        ({"complete": False, "seconds": 1.5}, " (stopped early, after 1.5 s)"),
        ({"faults_before": 1}, "; fails without any of its 1 fault"),
        ({"faults_before": 3, "faults": {"x": True}}, "; of 3 faults it takes 1 fault: x"),
        (
            {"faults_before": 3, "faults": {"x": True, "y": True}, "fault_lengths": {"x": 1.0, "y": 0.25}},
            "; of 3 faults it takes 2 faults: x, y for 0.25 of its time",
        ),
        (
            {"faults_before": 1, "faults": {"x": True, "y": True}},
            "; it takes 2 faults, where 1 had begun in the schedule that was found: x, y",
        ),
    ],
)
def test_what_shrinking_achieved_is_said_in_a_sentence(fields: dict[str, Any], end: str) -> None:
    text = "shrunk from 5 preemptions, 1,200 turns, 40 steps to 1 preemption, 1 turn, 1 step in 1 trial"
    assert str(shrunk(**fields)) == text + end


class Pieces:
    """Stands for `run_piece`: what each stretch of schedules is to report."""

    def __init__(self, *reports: tuple[int | None, bool]) -> None:
        self.reports = list(reports)
        self.asked: list[tuple[int, int]] = []

    def __call__(self, program: Any, oracle: Any, _: Any, seed: int, done: int, count: int, run_seed: int) -> Any:
        self.asked.append((done, count))
        index, ends = self.reports.pop(0)
        found = None if index is None else SimpleNamespace(schedule=b"%d" % index, index=index)
        return SimpleNamespace(found=found, exhausted=ends, stopped=False)


@pytest.mark.parametrize(
    ("pieces", "asked", "is_found"),
    [
        (Pieces((None, True)), [(0, 50)], False),
        (Pieces((None, False), (None, False), (None, False)), [(0, 50), (50, 50), (100, 20)], False),
        (Pieces((None, False), (60, False)), [(0, 50), (50, 50)], True),
        (Pieces((3, False), (7, False)), [(0, 50), (4, 50)], True),
    ],
)
def test_simpler_schedules_are_looked_for_until_one_fails_alike(
    pieces: Pieces, asked: list[tuple[int, int]], is_found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shrink_schedule, "run_piece", pieces)
    alike = SimpleNamespace(signature="x", cost=(2, 0, 0, 0))
    tries = {b"60": alike, b"3": SimpleNamespace(signature="another"), b"7": alike}
    runner: Any = SimpleNamespace(program=None, seed=1, try_schedule=tries.__getitem__)
    best: Any = SimpleNamespace(signature="x", cost=(2, 0, 0, 0))
    assert (_simplest(runner, best, 120, TimeLimit()) is not None) is is_found
    assert pieces.asked == asked


def test_nothing_is_simpler_than_no_preemption_and_nothing_begins_after_the_time_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shrink_schedule, "run_piece", Pieces())
    runner: Any = SimpleNamespace(program=None, seed=1)
    for cost, seconds in (((0, 0, 0, 0), math.inf), ((1, 0, 0, 0), -math.inf)):
        best: Any = SimpleNamespace(signature="x", cost=cost)
        assert _simplest(runner, best, 120, TimeLimit(seconds)) is None


@pytest.mark.parametrize(("trials", "complete", "used"), [(2_000, True, 10), (3, False, 4)])
def test_a_lost_update_is_shrunk_to_one_preemption(trials: int, complete: bool, used: int) -> None:
    runner = TrialRunner(Program(lost_update, (), Options()), 0)
    failing = next(
        trial
        for bits in range(1 << 10)
        if (trial := runner.try_choices([bits >> at & 1 for at in range(10)])).signature and trial.cost[0] >= 2
    )
    found = shrink(runner, failing, trials)
    end = "" if complete else " (stopped early)"
    assert str(found) == (
        f"shrunk from 2 preemptions, 2 turns, 9 steps to 1 preemption, 1 turn, 9 steps in {used} trials{end}"
    )
    assert (found.complete, found.before, found.after) == (complete, failing.cost, found.trial.cost)
