"""Plans as data: files, errors, leaving out, shrinking."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun import world as w
from detrun.world.faults.swarm import Swarm

NODES = ("a", "b", "c", "d", "e")
plans = st.builds(
    lambda seed, faults: Swarm(nodes=NODES, faults=faults).plan(seed), st.integers(0, 2**32), st.integers(0, 12)
)


# Data.


@given(plan=plans)
def test_a_plan_that_is_written_down_and_read_is_the_plan(plan):
    assert w.plan_from_toml(plan.to_toml()) == plan


def test_a_plan_is_loaded_from_a_file(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text('[[fault]]\nkind = "crash"\nnode = "replica-*"\nbetween = [1, 2.5]\ndown_seconds = 2\n')
    assert w.load_plan(path) == w.FaultPlan((w.Crash(node="replica-*", between=(1, 2.5), down_seconds=2),))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('[[fault]]\nkind = "crsh"', ["fault 1", "'crsh'", "did you mean 'crash'?"]),
        ("[[fault]]\nat = 1", ["fault 1", "no 'kind'"]),
        ('[[fault]]\nkind = "crash"\nnod = "a"\nat = 1', ["fault 1 (crash)", "'nod'", "did you mean 'node'?"]),
        ('[[fault]]\nkind = "crash"\nat = 1', ["fault 1 (crash)", "'node' is missing"]),
        ('[[fault]]\nkind = "crash"\nnode = "a"', ["fault 1", "'at'", "'between'"]),
        ('[[fault]]\nkind = "crash"\nnode = "a"\nat = 1\nbetween = [1, 2]', ["fault 1", "one of them"]),
        ('[[fault]]\nkind = "crash"\nnode = "a"\nat = "soon"', ["at='soon'", "finite number"]),
        ('[[fault]]\nkind = "crash"\nnode = "a"\nat = -1', ["at=-1", "at least 0"]),
        ('[[fault]]\nkind = "crash"\nnode = "a"\nat = true', ["at=True", "finite number"]),
        ('[[fault]]\nkind = "pause"\nnode = 3\nat = 1', ["node=3", "a text"]),
        ('[[fault]]\nkind = "crash"\nnode = "a"\nbetween = [2, 1]', ["between=", "not end before it begins"]),
        ('[[fault]]\nkind = "loss"\nat = 0\nrate = 2', ["loss", "rate=2", "from 0 to 1"]),
        ('[[fault]]\nkind = "loss"\nat = 0\nrate = 0.1\nprobability = 7', ["probability=7", "from 0 to 1"]),
        ('[[fault]]\nkind = "partition"\nat = 0', ["partition", "'groups' or 'shape'"]),
        ('[[fault]]\nkind = "partition"\nat = 0\nshape = "thirds"', ["shape='thirds'", "'halves'"]),
        ('[[fault]]\nkind = "partition"\nat = 0\ngroups = [["a"]]', ["at least two"]),
        ('[[fault]]\nkind = "disk"\nat = 0\nnode = "a"\nfault = "rust"\nrate = 0.1', ["fault='rust'", "'fsync_loss'"]),
        ('[fault]\nkind = "crash"', ["[[fault]]"]),
        ("[[faults]]", ["unknown key 'faults'"]),
        ("fault = ", ["is not TOML"]),
        (
            2 * '[[fault]]\nkind = "loss"\nat = 0\nrate = 1\nname = "x"\n',
            ["two faults are called 'x'"],
        ),
    ],
)
def test_what_is_wrong_with_a_plan_is_said_with_its_place(text, parts):
    with pytest.raises(w.FaultPlanError) as raised:
        w.plan_from_toml(text, "my.toml")
    for part in ["my.toml", *parts]:
        assert part in str(raised.value)


def test_a_plan_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(w.FaultPlanError, match=r"nowhere\.toml"):
        w.load_plan(tmp_path / "nowhere.toml")


@given(plan=plans, data=st.data())
def test_leaving_faults_out_changes_no_other(plan, data):
    left_out = data.draw(st.sets(st.sampled_from(range(len(plan))))) if len(plan) else set()
    smaller = plan.without(*left_out)
    assert list(smaller) == [fault for index, fault in enumerate(plan) if index not in left_out]
    assert smaller == plan.only(set(range(len(plan))) - left_out)


def test_faults_without_a_name_get_one_that_is_free():
    plan = w.FaultPlan((w.Crash(node="a", at=1, name="crash[0]"), w.Crash(node="b", at=2)))
    assert [fault.name for fault in plan] == ["crash[0]", "crash[1]"]


# Shrinking.


@given(data=st.data())
def test_a_shrunk_plan_fails_and_no_fault_of_it_can_be_left_out(data):
    """Failing needs all of one of several sets of faults: the result must be one of those that hold no other."""
    count = data.draw(st.integers(1, 12))
    plan = w.FaultPlan(tuple(w.Restart(node=f"n{index}", at=index) for index in range(count)))
    causes = data.draw(st.lists(st.sets(st.integers(0, count - 1), min_size=1, max_size=4), min_size=1, max_size=3))

    def fails(candidate):
        there = {int(fault.node[1:]) for fault in candidate}
        return any(cause <= there for cause in causes)

    shrunk = detrun.shrink_plan(fails, plan)
    assert shrunk.minimal
    assert fails(shrunk.plan)
    assert not any(fails(shrunk.plan.without(index)) for index in range(len(shrunk.plan)))


def test_what_lasts_is_shortened_as_far_as_it_still_fails():
    plan = w.FaultPlan((w.Pause(node="a", at=0, lasts_seconds=16.0), w.Crash(node="b", at=3, down_seconds=9.0)))
    shrunk = detrun.shrink_plan(lambda tried: any(f.kind == "pause" and f.lasts_seconds >= 3 for f in tried), plan)
    assert [(fault.kind, fault.lasts_seconds) for fault in shrunk.plan] == [("pause", 4.0)]


def test_shrinking_asks_once_for_each_plan_and_stops_when_it_may_ask_no_more():
    asked: list[Any] = []
    plan = w.FaultPlan(tuple(w.Restart(node=f"n{index}", at=index) for index in range(30)))

    def fails(candidate):
        asked.append(candidate)
        return {"n3", "n17"} <= {fault.node for fault in candidate}

    shrunk = detrun.shrink_plan(fails, plan, attempts_max=7)
    assert not shrunk.minimal
    assert fails(shrunk.plan)
    assert shrunk.attempts == 7
    asked.clear()
    detrun.shrink_plan(fails, plan)
    assert len(asked) == len(set(asked))


def test_a_plan_that_does_not_fail_is_not_shrunk():
    with pytest.raises(detrun.UsageError, match="does not fail"):
        detrun.shrink_plan(lambda plan: False, w.FaultPlan())


def test_what_fails_again_follows_the_recording_first_and_then_the_seeds_until_one_fails():
    asked: list[int] = []

    async def main(plan: w.FaultPlan, most: int) -> None:
        asked.append(len(plan))
        if len(plan) > most:
            raise KeyError("too many")
        if detrun.uniform(key="luck") < 0.5:
            raise ValueError("bad luck")

    plan = w.FaultPlan(tuple(w.Restart(node=f"n{index}", at=index) for index in range(3)))
    unlucky = [
        isinstance(detrun.record(main, plan, 3, seed=seed, raise_errors=False).exception, ValueError)
        for seed in range(9)
    ]
    bad, good = unlucky.index(True), unlucky.index(False)
    recording = detrun.record(main, plan, 2, seed=good, raise_errors=False).recording

    def runs_of(fails: Any, tried: w.FaultPlan) -> tuple[bool, list[int]]:
        asked.clear()
        return fails(tried), list(asked)

    fresh = detrun.fails_again(main, (plan, 2), seeds=(good, bad, good))
    assert runs_of(fresh, plan) == (True, [3])
    assert runs_of(fresh, plan.without(0)) == (True, [2, 2])  # the second seed fails, by another exception
    same = detrun.fails_again(main, (plan, 2), seeds=(good, bad, good), same=lambda error: isinstance(error, KeyError))
    assert runs_of(same, plan) == (True, [3])
    assert runs_of(same, plan.without(0)) == (False, [2, 2, 2])
    assert runs_of(detrun.fails_again(main, (plan, 2), recording=recording), plan) == (True, [3])
    followed = detrun.fails_again(main, (plan, 2), recording=recording, seeds=(good,))
    assert runs_of(followed, plan.without(0)) == (False, [2, 2])
    assert runs_of(detrun.fails_again(main, (plan, 2), recording=recording, seeds=()), plan) == (True, [3])
