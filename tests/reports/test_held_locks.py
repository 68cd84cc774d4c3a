"""Bars of locks: who had them, and who waited for them, of trio's locks and of those of threads."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import trio

import detrun
from detrun.pages.timeline import timeline_of
from detrun.reports.report import run_page, told_by_program
from tests.reports.pages import data_of
from tests.reports.test_failure_view import waits_in_a_circle

pytestmark = pytest.mark.one_python


async def takes_turns() -> None:
    lock = trio.Lock()

    async def takes(seconds: float) -> None:
        async with lock:
            await trio.sleep(seconds)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(takes, 1, name="first")
        await trio.sleep(0.5)
        nursery.start_soon(takes, 2, name="second")
        await trio.sleep(0.1)
        with trio.move_on_after(0.1):
            await lock.acquire()  # in vain


def bars(main: Any) -> list[tuple[str, str, float, float | None, bool]]:
    """Of a program: task, lock, from when, until when, and whether it waited."""
    run = detrun.record(main, raise_errors=False)
    assert run.program is not None
    timeline = data_of(run_page(run.recording, told_by_program(run.recording, *run.program)))["timeline"]
    times = timeline["times"]
    return [
        (timeline["lanes"][lane][0], label, times[first], None if last is None else times[last], waits)
        for lane, label, first, last, waits in timeline["held"]
    ]


def test_a_lock_of_trio_has_bars_of_who_had_it_and_who_waited_and_none_of_who_gave_up() -> None:
    assert sorted(bars(takes_turns)) == [
        ("main/first", "Lock[0]", 0.0, 1.0, False),
        ("main/second", "Lock[0]", 0.5, 1.0, True),
        ("main/second", "Lock[0]", 1.0, 3.0, False),
    ]


def test_in_a_deadlock_bars_are_open_at_the_end_and_the_locks_of_trio_are_left_as_they_were() -> None:
    own = dict(vars(trio.Lock))
    found = bars(waits_in_a_circle)
    assert {(task, last, waits) for task, _, _, last, waits in found} == {
        (task, None, waits) for task in ("main/left", "main/right") for waits in (False, True)
    }
    of = {(task, waits): label for task, label, _, _, waits in found}
    assert of["main/left", True] == of["main/right", False] != of["main/left", False] == of["main/right", True]
    assert dict(vars(trio.Lock)) == own


def meets_in_threads() -> None:
    lock = threading.Lock()

    def adds() -> None:
        with lock:
            pass

    threads = [threading.Thread(target=adds) for _ in range(2)]
    lock.acquire()
    for thread in threads:
        thread.start()
    lock.release()
    for thread in threads:
        thread.join()


def test_a_wait_for_a_lock_of_threads_ends_where_it_is_taken() -> None:
    for seed in range(20):
        recording = detrun.record(meets_in_threads, seed=seed).recording
        held = timeline_of(recording, range(recording.steps), {}).held
        waits = [bar for bar in held if bar.waits]
        assert all(
            (bar.lane, bar.label, bar.last) in {(one.lane, one.label, one.first) for one in held} for bar in waits
        )
        if waits:
            return
    pytest.fail("no thread ever waited")
