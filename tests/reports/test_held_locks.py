"""Bars of locks: who had them, and who waited for them, of trio, of asyncio and of threads."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from typing import Any

import pytest
import trio

import detrun
from detrun.execution.replayed_run import ReplayedRun
from detrun.pages.timeline import timeline_of
from detrun.reports import held_locks
from detrun.reports.held_locks import HeldLocks
from detrun.reports.report import run_page, told_by_program
from detrun_recorder.export import export_perfetto
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


def test_a_wait_that_is_given_up_after_the_end_of_a_page_has_no_bar_in_it() -> None:
    run = detrun.record(takes_turns)
    assert run.program is not None
    told = told_by_program(run.recording, *run.program)
    asked = max(step.index for step in run.recording.iter_steps() if step.path == "main" and step.time == 0.6)
    timeline = data_of(run_page(run.recording, told, range(asked + 1)))["timeline"]
    assert timeline["lanes"][timeline["laneOf"][asked]][0] == "main"
    assert "main" not in {timeline["lanes"][lane][0] for lane, *_ in timeline["held"]}


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


def own_of(*kinds: type) -> list[dict[str, Any]]:
    return [dict(vars(kind)) for kind in kinds]


def what_of(found: list[tuple[str, str, float, float | None, bool]], *labels: str) -> list[tuple[Any, ...]]:
    """The bars of some locks that last, without those that begin and end at one instant."""
    return sorted(one for one in found if one[1] in labels and one[2] != one[3])


def taken_twice(lock: str) -> list[tuple[Any, ...]]:
    """One task has it for a second, and another waits for half of that, and then has it for a second."""
    first, second = "main/first", "main/second"
    return [(first, lock, 0.0, 1.0, False), (second, lock, 0.5, 1.0, True), (second, lock, 1.0, 2.0, False)]


@pytest.mark.parametrize("kind", ["Semaphore", "CapacityLimiter"])
def test_a_semaphore_and_a_limiter_of_trio_have_bars(kind: str) -> None:
    async def main() -> None:
        shared: Any = getattr(trio, kind)(1)

        async def takes() -> None:
            async with shared:
                await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(takes, name="first")
            await trio.sleep(0.5)
            nursery.start_soon(takes, name="second")

    own = own_of(trio.Semaphore, trio.CapacityLimiter, trio.Condition)
    assert what_of(bars(main), f"{kind}[0]") == taken_twice(f"{kind}[0]")
    assert own_of(trio.Semaphore, trio.CapacityLimiter, trio.Condition) == own


@pytest.mark.parametrize("kind", ["Lock", "Semaphore", "BoundedSemaphore"])
def test_locks_and_semaphores_of_asyncio_have_bars(kind: str) -> None:
    async def main() -> None:
        shared: Any = getattr(asyncio, kind)(*([] if kind == "Lock" else [1]))

        async def takes() -> None:
            async with shared:
                await asyncio.sleep(1)

        async with asyncio.TaskGroup() as group:
            group.create_task(takes(), name="first")
            await asyncio.sleep(0.5)
            group.create_task(takes(), name="second")

    label = f"asyncio.{kind}[0]"
    found = [(f"main/{task.rpartition('/')[2]}", *rest) for task, *rest in bars(main)]
    assert what_of(found, label) == taken_twice(label)  # type: ignore[arg-type]  # of as many elements


@pytest.mark.parametrize("kind", ["Semaphore", "RLock"])
def test_semaphores_and_reentrant_locks_of_threads_have_bars(kind: str) -> None:
    def main() -> None:
        shared: Any = getattr(threading, kind)()

        def takes() -> None:
            with shared:
                time.sleep(1)

        threads = [threading.Thread(target=takes, name=name) for name in ("first", "second")]
        threads[0].start()
        time.sleep(0.5)
        threads[1].start()
        for thread in threads:
            thread.join()

    label = "RLock[0]" if kind == "RLock" else "threading.Semaphore[0]"
    assert what_of(bars(main), label) == taken_twice(label)


async def waits_in_trio() -> None:
    condition = trio.Condition()

    async def waits() -> None:
        async with condition:
            await condition.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waits, name="waits")
        await trio.sleep(1)
        async with condition:
            condition.notify()


async def waits_in_asyncio() -> None:
    condition = asyncio.Condition()

    async def waits() -> None:
        async with condition:
            await condition.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(waits(), name="waits")
        await asyncio.sleep(1)
        async with condition:
            condition.notify()


def waits_in_threads() -> None:
    condition = threading.Condition()

    def waits() -> None:
        with condition:
            condition.wait_for(lambda: seen)

    seen: list[int] = []
    thread = threading.Thread(target=waits, name="waits")
    thread.start()
    time.sleep(1)
    with condition:
        seen.append(1)
        condition.notify()
    thread.join()


@pytest.mark.parametrize("main", [waits_in_trio, waits_in_asyncio, waits_in_threads])
def test_who_waits_for_a_condition_has_a_bar_until_it_goes_on(main: Any) -> None:
    found = [one for one in bars(main) if "Condition" in one[1]]
    assert [(task.rpartition("/")[2], first, last, waits) for task, _, first, last, waits in found] == [
        ("waits", 0.0, 1.0, True)
    ]


@pytest.mark.parametrize(
    ("most", "notes"),
    [(3, []), (1, ["bars of locks: the first 1 of 3, in the order in which they ended"])],
)
def test_bars_that_are_left_out_are_counted(most: int, notes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_locks, "BARS_MAX", most)
    run = detrun.record(takes_turns)
    assert run.program is not None
    document = data_of(run_page(run.recording, told_by_program(run.recording, *run.program)))
    assert len(document["timeline"]["held"]) == most
    assert document["notes"] == notes


def test_a_trace_has_the_bars_on_tracks_of_their_locks() -> None:
    run = detrun.record(takes_turns)
    assert run.program is not None
    locks = HeldLocks()
    ReplayedRun(run.recording, watch=locks).execute(*run.program)
    written = io.StringIO()
    export_perfetto(run.recording, written, bars=locks.all_bars())
    events = json.loads(written.getvalue())["traceEvents"]
    slices = [one for one in events if one["ph"] == "X" and one["cat"] in ("held", "waiting")]
    assert [(one["name"], round(one["ts"] / 1e6, 6), round(one["dur"] / 1e6, 6)) for one in slices] == [
        ("held by main/first", 0.0, 1.0),
        ("awaited by main/second", 0.5, 0.5),
        ("held by main/second", 1.0, 2.0),
    ]
    tracks = {(one["pid"], one["tid"]): one["args"]["name"] for one in events if one["name"] == "thread_name"}
    assert {tracks[one["pid"], one["tid"]].partition(" ")[0] for one in slices} == {"Lock[0]"}
