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


@pytest.mark.one_python
def test_transactions_one_after_the_other_are_no_reason() -> None:
    pytest.importorskip("networkx")
    assert detrun.explore(doctors, 1.0, schedules=3, directory=None).failure is None


def test_what_an_always_looked_at_is_kept() -> None:
    with pytest.raises(AssertionViolatedError) as caught:
        detrun.always([], "there is something")
    assert caught.value.condition == []
