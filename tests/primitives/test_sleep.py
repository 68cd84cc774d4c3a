"""`detrun.sleep` is `trio.sleep` without its cancel scope, also where its end coincides with a deadline.

The oracle is trio: the same body with ``trio.sleep``, run by trio's own loop under its ``MockClock``.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun_scheduler import current

Sleep = Callable[[float], Awaitable[None]]

quarters = st.integers(0, 4).map(lambda quarter: quarter / 4)


async def bounded_sleeps(sleep: Sleep, bounds: list[list[float]], pause: float) -> list[Any]:
    """Each task sleeps for the last of its numbers, with the others as deadlines around it; ``pause`` bounds all."""
    log: list[Any] = []

    async def task(index: int, deadlines: list[float], seconds: float) -> None:
        if not deadlines:
            await sleep(seconds)
            log.append((index, "slept", trio.current_time()))
            return
        with trio.move_on_after(deadlines[0]) as scope:
            await task(index, deadlines[1:], seconds)
        log.append((index, scope.cancelled_caught, scope.cancel_called, trio.current_time()))

    async with trio.open_nursery() as nursery:
        for index, numbers in enumerate(bounds):
            nursery.start_soon(task, index, numbers[:-1], numbers[-1])
        nursery.cancel_scope.deadline = trio.current_time() + pause
    return sorted(log, key=repr)


@given(st.lists(st.lists(quarters, min_size=1, max_size=3), min_size=1, max_size=3), st.one_of(quarters, st.just(5.0)))
def test_it_ends_as_trio_sleep_does_under_deadlines_that_may_coincide_with_it(
    bounds: list[list[float]], pause: float
) -> None:
    # Every deadline is set before the sleep inside it begins: otherwise trio could end a tie either way, by address.
    clock = trio.testing.MockClock(autojump_threshold=0)
    wanted = trio.run(bounded_sleeps, trio.sleep, bounds, pause, clock=clock)
    run = detrun.record(bounded_sleeps, detrun.sleep, bounds, pause, strategy="fifo")
    assert run.result == wanted
    replayed = detrun.replay(bounded_sleeps, detrun.sleep, bounds, pause, recording=run.recording)
    assert replayed.digest == run.digest


def test_a_deadline_at_the_end_of_a_sleep_cancels_it_if_it_was_set_before_it_and_lets_it_end_otherwise() -> None:
    async def program(sleep_first: bool) -> tuple[bool, bool]:
        scope = trio.CancelScope()
        ended = False

        async def sleeper() -> None:
            nonlocal ended
            with scope:
                await detrun.sleep(1.0)
                ended = True

        async with trio.open_nursery() as nursery:
            if not sleep_first:
                scope.deadline = 1.0
            nursery.start_soon(sleeper)
            await trio.testing.wait_all_tasks_blocked()
            scope.deadline = 1.0
        return ended, scope.cancelled_caught

    assert detrun.record(program, False).result == (False, True)
    assert detrun.record(program, True).result == (True, False)


def test_a_timer_that_is_taken_back_by_another_of_the_same_instant_does_not_fire() -> None:
    fired: list[str] = []

    class Key:
        def __init__(self, name: str, takes_back: Key | None = None) -> None:
            self.name, self.takes_back = name, takes_back

        def fire(self) -> None:
            fired.append(self.name)
            if self.takes_back is not None:
                current.require("the test").timers.remove(1.0, self.takes_back)

    async def program() -> None:
        timers = current.require("the test").timers
        last, before = Key("last"), Key("before")
        for key in (Key("first", takes_back=last), before, Key("third", takes_back=before), last):
            timers.add(1.0, key)
        await trio.sleep(2)

    detrun.record(program)
    assert fired == ["first", "before", "third"]


@pytest.mark.parametrize("seconds", [-1.0, math.nan, "1", None, 1j])
def test_what_is_no_duration_is_refused_by_name(seconds: Any) -> None:
    with pytest.raises(detrun.UsageError, match="must be a number of at least 0"):
        detrun.record(partial(detrun.sleep, seconds))


def test_outside_a_run_it_says_where_it_works() -> None:
    with pytest.raises(detrun.UsageError, match="outside a run; call it from a program started by"):
        trio.run(detrun.sleep, 1.0)
