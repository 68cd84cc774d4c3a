"""A task that waits and that nothing refers to is a finding; one that something alive refers to is none."""

# ruff: noqa: RUF006  (tasks that are not kept are what is tested)

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

import detrun
from detrun_scheduler.asyncio_host.lost_tasks import LostTaskWarning
from detrun_scheduler.asyncio_host.unreferenced import MOST

KEPT: set[Any] = set()


async def waits_for_a_future() -> None:
    """The example of asyncio's documentation: nothing keeps what `create_task` returns."""

    async def work() -> None:
        await asyncio.get_running_loop().create_future()

    asyncio.create_task(work())
    await asyncio.sleep(1)


async def belongs_to_a_dropped_object() -> None:
    """The task is an attribute of an object that only the task refers to."""

    class Service:
        def __init__(self) -> None:
            self.queue: asyncio.Queue[int] = asyncio.Queue()
            self.task = asyncio.create_task(self.work())

        async def work(self) -> None:
            await self.queue.get()

    Service()
    await asyncio.sleep(1)


async def two_wait_for_each_other() -> None:
    """Each of two tasks would wake the other."""
    events = asyncio.Event(), asyncio.Event()

    async def work(own: asyncio.Event, other: asyncio.Event) -> None:
        await own.wait()
        other.set()

    asyncio.create_task(work(*events))
    asyncio.create_task(work(*events[::-1]))
    del events
    await asyncio.sleep(1)


async def kept_by_variables() -> None:
    """The variables of the main task keep a task, and the queue that another waits for."""
    queue: asyncio.Queue[int] = asyncio.Queue()
    task = asyncio.create_task(asyncio.Event().wait())
    asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    assert not task.done()


async def kept_by_an_inner_variable() -> None:
    """The same, one call further in."""
    await kept_by_variables()


async def kept_by_a_global_set() -> None:
    """What the documentation advises."""
    KEPT.add(asyncio.create_task(asyncio.Event().wait()))
    await asyncio.sleep(1)


async def kept_by_a_timer() -> None:
    """The loop's timer keeps the future of a sleep."""
    asyncio.create_task(asyncio.sleep(100))
    await asyncio.sleep(1)


async def kept_by_a_socket() -> None:
    """The loop watches the socket for whose bytes a task waits."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        except asyncio.CancelledError:
            writer.close()

    server = await asyncio.start_server(answer, "localhost", 80)
    _, writer = await asyncio.open_connection("localhost", 80)
    await asyncio.sleep(1)
    assert not writer.is_closing()
    server.close()


async def kept_by_a_thread() -> None:
    """A thread of the executor keeps the future."""
    event = threading.Event()
    asyncio.create_task(asyncio.to_thread(event.wait))
    await asyncio.sleep(1)
    asyncio.get_running_loop().call_soon(event.set)


LOST = (waits_for_a_future, belongs_to_a_dropped_object)
SAFE = (kept_by_variables, kept_by_an_inner_variable, kept_by_a_global_set, kept_by_a_timer, kept_by_a_socket)


@pytest.mark.parametrize("order", ["any", "fifo"])
@pytest.mark.parametrize("program", [*LOST, two_wait_for_each_other])
def test_a_task_that_nothing_refers_to_is_a_finding(program: Callable[[], Any], order: Any) -> None:
    run = detrun.record(program, asyncio_order=order)
    assert run.exception is None  # in life nothing tells, as long as the collector does not come by
    with pytest.raises(LostTaskWarning, match=r"made at test_unreferenced.py:\d+, waits, and nothing refers") as raised:
        detrun.record(program, asyncio_order=order, thread_errors=True)
    assert f"asyncio task main/{program.__name__}/work" in raised.value.__notes__[0]


@pytest.mark.parametrize("program", [*SAFE, kept_by_a_thread])
def test_a_task_that_something_alive_refers_to_is_no_finding(program: Callable[[], Any]) -> None:
    for order in ("any", "fifo"):
        detrun.record(program, asyncio_order=order, thread_errors=True)
    KEPT.clear()


def test_among_more_tasks_than_are_looked_through_each_counts_as_kept() -> None:
    async def main(count: int) -> None:
        async def work() -> None:
            await asyncio.get_running_loop().create_future()

        for _ in range(count):
            asyncio.create_task(work())
        await asyncio.sleep(1)

    with pytest.raises(LostTaskWarning):
        detrun.record(main, MOST // 4, thread_errors=True)
    detrun.record(main, MOST + 1, thread_errors=True)


def test_explore_finds_it_and_the_failure_replays() -> None:
    failure = detrun.explore(waits_for_a_future, schedules=5, directory=None, explain=False).failure
    assert failure is not None
    assert isinstance(failure.exception, LostTaskWarning)
    with pytest.raises(LostTaskWarning):
        detrun.replay(waits_for_a_future, recording=failure.recording)


async def tells(told: list[str]) -> None:
    """A lost task that tells of its end; the main task goes on for ten steps."""

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            told.append("collected")

    asyncio.create_task(work())
    for _ in range(10):
        await asyncio.sleep(1)
    told.append("end")


def test_a_collection_takes_it_as_in_life(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    run = detrun.record(tells, told, collections=5)
    assert told == ["collected", "end"]
    assert "Task was destroyed but it is pending!" in caplog.text
    again: list[str] = []
    assert detrun.replay(tells, again, recording=run.recording).digest == run.digest
    assert again == told
    with pytest.raises(LostTaskWarning):
        detrun.record(tells, [], collections=5, thread_errors=True)
    without: list[str] = []
    detrun.record(tells, without)
    assert without == ["end", "collected"]  # cancelled by `asyncio.run`


def test_whether_a_task_is_lost_may_depend_on_the_schedule() -> None:
    async def main() -> None:
        tasks: list[Any] = []

        async def work() -> None:
            await asyncio.get_running_loop().create_future()

        async def drop() -> None:
            tasks.clear()

        async def save() -> None:
            KEPT.update(tasks)

        tasks.append(asyncio.create_task(work()))
        await asyncio.gather(save(), drop())
        await asyncio.sleep(1)

    found = set()
    for seed in range(10):
        KEPT.clear()
        try:
            detrun.record(main, seed=seed, thread_errors=True)
            found.add((bool(KEPT), "kept"))
        except LostTaskWarning:
            found.add((bool(KEPT), "lost"))
    assert found == {(True, "kept"), (False, "lost")}
