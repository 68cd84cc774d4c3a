"""Circles of tasks that wait for each other, of locks that a program has made itself."""

from __future__ import annotations

import pytest
import trio

import detrun
from detrun.checkers.assertions import AssertionViolatedError
from detrun.checkers.waiting import Holders
from detrun.explore.failures.functions import function_at


class Latch:
    """A lock of one's own, of which a checker is told."""

    def __init__(self, name: str, holders: Holders) -> None:
        self.name = name
        self.holders = holders
        self.free = trio.Event()
        self.free.set()

    async def acquire(self) -> None:
        detrun.always(self.holders.asks(self.name), "no circle")
        while not self.free.is_set():
            await self.free.wait()
        self.free = trio.Event()
        self.holders.takes(self.name)
        await trio.lowlevel.checkpoint()

    def release(self) -> None:
        self.holders.releases(self.name)
        self.free.set()


async def goes_up(low: Latch, high: Latch) -> None:
    await low.acquire()
    await high.acquire()
    high.release()
    low.release()


async def goes_down(low: Latch, high: Latch) -> None:
    await high.acquire()
    await low.acquire()
    low.release()
    high.release()


async def both_ways() -> None:
    holders = Holders()
    latches = Latch("low", holders), Latch("high", holders)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(goes_up, *latches)
        nursery.start_soon(goes_down, *latches)


async def one_way() -> None:
    holders = Holders()
    latches = Latch("low", holders), Latch("high", holders)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(goes_up, *latches)
        nursery.start_soon(goes_up, *latches)


@pytest.mark.one_python
def test_a_circle_is_found_and_explained_by_what_each_has_taken() -> None:
    failure = detrun.explore(both_ways, schedules=30, directory=None).failure
    assert failure is not None
    assert isinstance(failure.exception, AssertionViolatedError)
    told = failure.explanation
    assert told is not None
    assert told.verified, str(told)
    verbs = sorted(one.verb for one in told.places)
    assert verbs == ["asks for high", "asks for low", "takes high", "takes low"]
    functions = {"" if one.line is None else function_at(one.line.file, one.line.number) for one in told.places}
    assert functions == {"goes_up", "goes_down"}, "not the function through which all take"


@pytest.mark.one_python
def test_one_order_has_no_circle() -> None:
    assert detrun.explore(one_way, schedules=30, directory=None).failure is None


def test_a_task_that_waits_for_itself_is_a_circle() -> None:
    async def main() -> list[str]:
        holders = Holders()
        found = [str(holders.asks("page"))]
        holders.takes("page")
        found.append(str(holders.asks("page")))
        holders.gives_up()
        holders.releases("page")
        return [*found, str(holders.asks("page"))]

    assert detrun.record(main).result == ["no circle", "main waits for page of main", "no circle"]
