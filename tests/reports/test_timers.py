"""Timers of a run that is made again: who set them, how they ended, and which waits they cancelled."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
import trio

import detrun
from detrun.pages.timeline import timeline_of
from detrun.reports import timers
from detrun.reports.report import told_by_program
from detrun.reports.timers import FIRED, TAKEN_BACK, Cancellation, Timers


def timers_of(main: Any) -> tuple[detrun.Run[Any], Timers]:
    """Those that a report knows."""
    run = detrun.record(main)
    assert run.program is not None
    found = told_by_program(run.recording, *run.program).timers
    assert found is not None
    return run, found


async def has_deadlines() -> None:
    with trio.move_on_after(1):
        await trio.sleep_forever()
    with trio.move_on_after(5):
        await trio.sleep(1)
    with trio.move_on_at(3):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever, name="one")
            nursery.start_soon(trio.sleep, 100, name="other")


def test_sleeps_and_deadlines_fire_or_are_taken_back_and_the_waits_that_they_end_are_cancelled() -> None:
    run, found = timers_of(has_deadlines)
    assert [(one.kind, one.due, one.ended) for one in found.timers] == [
        ("deadline", 1.0, FIRED),
        ("deadline", 6.0, TAKEN_BACK),
        ("sleep", 2.0, FIRED),
        ("deadline", 3.0, FIRED),
        ("sleep", 102.0, TAKEN_BACK),
    ]
    steps = list(run.recording.iter_steps())
    for one in found.timers:
        assert one.last is not None
        assert steps[one.step].task == one.task
        if one.ended == FIRED:
            assert steps[one.last].time <= one.due == steps[one.last + 1].time
    paths = {step.task: step.path for step in steps}
    assert sorted(paths[one.task] for one in found.cancellations) == ["main", "main/one", "main/other"]
    assert all(one.is_after and "test_timers.py" in one.cause for one in found.cancellations)


async def cancels_tasks_of_asyncio() -> None:
    sleeper = asyncio.create_task(asyncio.sleep(10))
    await asyncio.sleep(1)
    sleeper.cancel()
    await asyncio.wait([sleeper])


def test_a_task_of_asyncio_is_cancelled_by_the_one_that_says_so() -> None:
    cancel = asyncio.Task.cancel
    run, found = timers_of(cancels_tasks_of_asyncio)
    (cancelled,) = found.cancellations
    assert (cancelled.is_after, cancelled.deadlines) == (False, ())
    assert cancelled.by.startswith("main/cancels_tasks")
    assert sorted((one.due, one.ended) for one in found.timers) == [(1.0, FIRED), (10.0, TAKEN_BACK)]
    assert asyncio.Task.cancel is cancel
    assert run.exception is None


def waits_in_a_thread() -> None:
    event = threading.Event()

    def waits() -> None:
        time.sleep(1)
        event.wait(timeout=0.5)

    thread = threading.Thread(target=waits)
    thread.start()
    thread.join()


def test_sleeps_and_timeouts_of_threads_are_timers() -> None:
    _, found = timers_of(waits_in_a_thread)
    assert [(one.kind, one.due, one.ended) for one in found.timers] == [("sleep", 1.0, FIRED), ("deadline", 1.5, FIRED)]


async def sleeps_long_and_short() -> None:
    async with trio.open_nursery() as nursery:
        for seconds in (1, 2, 2, 3):
            nursery.start_soon(trio.sleep, seconds)


def test_a_recording_alone_has_the_sleeps_that_time_ended() -> None:
    run, found = timers_of(sleeps_long_and_short)
    timeline = timeline_of(run.recording, range(run.steps), {})
    tasks = {at: lane.number for at, lane in enumerate(timeline.lanes)}
    told = sorted((one.task, one.step, one.due, one.last) for one in found.timers)
    assert sorted((tasks[one.lane], one.step, one.due, one.last) for one in timeline.slept) == told


def test_more_timers_than_a_page_holds_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "TIMERS_MAX", 3)
    _, found = timers_of(sleeps_long_and_short)
    assert (len(found.timers), found.left_out) == (3, 1)


def test_what_no_line_of_the_program_has_set_is_a_timer() -> None:
    assert Cancellation(1, 2, is_after=True).cause == "by a timer"
