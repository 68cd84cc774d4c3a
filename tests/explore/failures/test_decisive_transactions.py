"""Transactions that are not serializable are explained by the operations behind their dependencies."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import detrun
from detrun.checkers.assertions import AssertionViolatedError
from detrun.checkers.serializability import serializable
from detrun.checkers.transactions import Transactions
from detrun.explore.failures.functions import function_at

HISTORY = Transactions()


class Rota:
    """Who is on call; two that go home at the same time do not see each other."""

    def __init__(self) -> None:
        self.version = 0
        self.newest: dict[str, int] = {}

    async def read(self, who: str) -> int | None:
        await trio.lowlevel.checkpoint()
        return self.newest.get(who)

    async def leave(self, who: str) -> int:
        await trio.lowlevel.checkpoint()
        self.version += 1
        self.newest[who] = self.version
        return self.version


async def goes_home(rota: Rota, who: str, other: str, after: float, is_timed: bool) -> None:
    await trio.sleep(after)
    with HISTORY.transaction(who) as noted:
        noted.read(other, await rota.read(other))
        await trio.sleep(0.1 if is_timed else 0.0)
        noted.write(who, await rota.leave(who))


async def doctors(after: float) -> None:
    rota = Rota()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(goes_home, rota, "Ann", "Bob", 0.0, after > 0.0)
        nursery.start_soon(goes_home, rota, "Bob", "Ann", after, after > 0.0)
    detrun.always(serializable(HISTORY), "serializable")


@pytest.mark.one_python
@pytest.mark.parametrize("after", [0.0, 0.05], ids=["at one time", "later"])
def test_a_write_skew_is_two_reads_and_two_writes(after: float) -> None:
    pytest.importorskip("networkx")
    failure = detrun.explore(doctors, after, schedules=20, directory=None).failure
    assert failure is not None
    told: Any = failure.explanation
    assert told.verified, str(told)
    assert "What matters is that transactions overlap" in told.text
    steps = told.failing.steps
    assert [(one.task.rpartition("/")[2][:9], one.verb) for one in told.places] in (
        [("goes_home", f"{verb} {who!r}") for verb, who in kinds]
        for kinds in (
            [("reads", "Bob"), ("writes", "Bob"), ("reads", "Ann"), ("writes", "Ann")],
            [("reads", "Ann"), ("writes", "Ann"), ("reads", "Bob"), ("writes", "Bob")],
        )
    ), str(told)
    assert {function_at(one.line.file, one.line.number) for one in told.places} == {"goes_home"}
    for first, then in (told.places[:2], told.places[2:]):
        assert first.step < then.step
        assert steps[first.step].task == first.task != then.task


async def doctors_who_are_called(days: int) -> None:
    """Each works in a task that something else makes at their time, and again the next day."""
    rota = Rota()

    async def call(nursery: trio.Nursery, who: str, other: str, after: float) -> None:
        await trio.sleep(after)
        nursery.start_soon(goes_home, rota, who, other, 0.0, True)

    for _ in range(days):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, nursery, "Ann", "Bob", 0.01)
            nursery.start_soon(call, nursery, "Bob", "Ann", 0.05)
        found = serializable(HISTORY)
        detrun.always(found, "serializable", str(found))
        await trio.sleep(1.0)


@pytest.mark.one_python
def test_a_task_that_went_on_with_nothing_is_put_off_with_the_one_that_made_it() -> None:
    pytest.importorskip("networkx")
    failure = detrun.explore(doctors_who_are_called, 1, schedules=3, early_timers=0, directory=None).failure
    assert failure is not None
    assert "put off until the others have ended, the run passes" in str(failure.explanation)


@pytest.mark.one_python
def test_where_transactions_contradict_each_other_again_the_next_cycle_does_not_matter() -> None:
    pytest.importorskip("networkx")
    failure = detrun.explore(doctors_who_are_called, 2, schedules=3, early_timers=0, directory=None).failure
    assert failure is not None
    averted = "put off until the others have ended, it goes on past this point, and fails by a cycle without them"
    assert averted in str(failure.explanation)


@pytest.mark.one_python
def test_transactions_one_after_the_other_are_no_reason() -> None:
    pytest.importorskip("networkx")
    assert detrun.explore(doctors, 1.0, schedules=3, directory=None).failure is None


def test_what_an_always_looked_at_is_kept() -> None:
    with pytest.raises(AssertionViolatedError) as caught:
        detrun.always([], "there is something")
    assert caught.value.condition == []
