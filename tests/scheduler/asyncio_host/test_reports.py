"""Bugs of plain asyncio are found, and reports say what tasks of asyncio wait for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any

import anyio
import pytest

import detrun
from detrun.errors import DeadlockError
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun.explore.failures.listing import Listing
from tests.scheduler.asyncio_host.programs import (
    BUGS,
    lost_notify,
    lost_update,
    opposite_locks,
)

SEEDS = range(20)


@pytest.mark.parametrize("program", BUGS)
def test_a_bug_of_plain_asyncio_is_found_by_default_and_replayed(program: Callable[[], Any]) -> None:
    failure = detrun.explore(program, schedules=50, directory=None, confirm=False).failure
    assert failure is not None
    with pytest.raises((AssertionError, DeadlockError, TimeoutError)):
        detrun.replay(program, recording=failure.recording)
    assert "Verified: " in str(failure)


async def fails_when_late(in_order: Exception | None = None) -> None:
    """Two tasks are expected to begin in the order in which they were created; raises ``in_order`` where they do."""
    order: list[int] = []

    async def add(number: int) -> None:
        order.append(number)

    await asyncio.gather(add(1), add(2))
    assert order == [1, 2]
    if in_order is not None:
        raise in_order


@pytest.mark.parametrize(
    ("program", "args", "words"),
    [
        (lost_update, (), "fails in the order of asyncio's own loop (asyncio_order='fifo'), too"),
        (fails_when_late, (), "passes in the order of asyncio's own loop (asyncio_order='fifo'): it takes a task"),
        (fails_when_late, (ValueError("early"),), "fails otherwise in the order of asyncio's own loop (asyncio_order="),
    ],
)
def test_a_failure_says_whether_it_fails_in_stock_order(program: Any, args: tuple[Any, ...], words: str) -> None:
    found = detrun.explore(program, *args, schedules=50, directory=None, ignore=["ValueError*"])
    assert found.failure is not None
    assert found.failure.in_stock_order.startswith(words)
    assert words in str(found)
    assert words in str(found.failure)


def test_a_failure_found_in_stock_order_says_nothing_of_it() -> None:
    found = detrun.explore(lost_update, schedules=1, directory=None, asyncio_order="fifo")
    assert found.failure is not None
    assert found.failure.in_stock_order == ""


def deadlock_of(program: Callable[[], Any]) -> DeadlockError:
    for seed in SEEDS:
        try:
            detrun.record(program, seed=seed)
        except DeadlockError as error:
            return error
    raise AssertionError("no seed deadlocks")


def test_a_deadlock_names_locks_their_owners_and_the_cycle() -> None:
    error = deadlock_of(opposite_locks)
    assert error.cycle == ("main/opposite_locks/take", "main/opposite_locks/take[1]", "main/opposite_locks/take")
    waits = {one.path: one.waits_for for one in error.blocked}
    assert waits["main"] == "asyncio.run, until the end of main/opposite_locks"
    assert waits["main/opposite_locks"] == ("the end of main/opposite_locks/take, main/opposite_locks/take[1]")
    assert waits["main/opposite_locks/take"] == "Lock held by main/opposite_locks/take[1]"


def test_a_deadlock_names_a_notification_in_vain() -> None:
    waits = {one.path: one.waits_for for one in deadlock_of(lost_notify).blocked}
    assert "a lost wake-up: the last notify, by main/lost_notify/notify at step" in waits["main/lost_notify/wait"]


def test_what_waits_for_ever_is_named() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.Queue[int]().get(), name="reader")
            group.create_task(asyncio.Semaphore(0).acquire())
            group.create_task(asyncio.Event().wait())
            await asyncio.sleep(1)

    waits = {one.path.rpartition("/")[2]: one.waits_for for one in deadlock_of(main).blocked}
    assert waits["reader"] == "Queue.get (0 items, maxsize 0)"
    assert waits["acquire"] == "Semaphore.acquire (not released)"
    assert waits["wait"] == "Event.wait (not set)"
    assert waits["main"].startswith("the end of its task group, where 3 tasks still live:")


async def stands_in_a_generator(use: str) -> None:
    async def generator() -> AsyncGenerator[int]:
        await asyncio.Event().wait()
        yield 1

    if use == "for":
        async for _ in generator():
            pass
    elif use == "anext":
        await anext(generator(), None)
    else:
        async with contextlib.asynccontextmanager(generator)():
            pass


@pytest.mark.parametrize("use", ["for", "anext", "with"])
def test_a_report_says_where_a_task_stands_in_an_asynchronous_generator(use: str) -> None:
    with pytest.raises(DeadlockError) as caught:
        detrun.record(stands_in_a_generator, use, backend="asyncio")
    waiting = caught.value.blocked[-1]
    assert waiting.waits_for == "Event.wait (not set)"
    assert [line.rpartition(" in ")[2].rpartition(".")[2] for line in waiting.stack] == [
        "stands_in_a_generator",
        "generator",
    ]


async def waits_in_anyio() -> None:
    first, second, semaphore = anyio.Lock(), anyio.Lock(), anyio.Semaphore(0)
    _, receiving = anyio.create_memory_object_stream[int](0)

    async def both(one: anyio.Lock, other: anyio.Lock) -> None:
        async with one:
            await anyio.sleep(1)
            async with other:
                pass

    async with anyio.create_task_group() as group:
        group.start_soon(both, first, second)
        group.start_soon(both, second, first)
        group.start_soon(semaphore.acquire, name="semaphore")
        group.start_soon(receiving.receive, name="stream")
        group.start_soon(anyio.Event().wait, name="event")


def test_reports_know_what_anyio_waits_for_on_asyncio() -> None:
    with pytest.raises(DeadlockError) as caught:
        detrun.record(waits_in_anyio, backend="asyncio")
    waits = {one.path.rpartition("/")[2]: one.waits_for for one in caught.value.blocked}
    assert waits.pop("main").startswith("asyncio.run")
    assert waits == {
        "waits_in_anyio": "the end of its task group, where 5 tasks still live: "
        + ", ".join(f"main/waits_in_anyio/{name}" for name in ("both", "both[1]", "semaphore", "stream", "event")),
        "both": "Lock held by main/waits_in_anyio/both[1]",
        "both[1]": "Lock held by main/waits_in_anyio/both",
        "semaphore": "Semaphore.acquire (not released)",
        "stream": "MemoryObjectReceiveStream.receive, which needs Event.wait (not set)",
        "event": "Event.wait (not set)",
    }
    assert caught.value.cycle


async def gathers_and_sleeps() -> None:
    async def sleeps() -> None:
        await asyncio.sleep(1)

    await asyncio.gather(sleeps(), sleeps())
    await asyncio.create_task(sleeps())
    raise ValueError("at the end")


def test_a_listing_says_what_a_task_of_asyncio_awaits() -> None:
    failure = detrun.explore(gathers_and_sleeps, schedules=1, directory=None, confirm=False).failure
    assert failure is not None
    assert failure.explanation is not None
    listing = str(Listing(failure.explanation.failing, None))
    for what in ("asyncio.run", "asyncio.gather", "asyncio.sleep", "asyncio.Task"):
        assert f"waits in {what}" in listing


@pytest.mark.parametrize("is_kept", [False, True])
def test_an_exception_that_nothing_retrieves_fails_a_schedule(is_kept: bool) -> None:
    kept: list[Any] = []

    async def main() -> None:
        async def fail() -> None:
            raise ValueError("lost")

        task = asyncio.create_task(fail())
        await asyncio.sleep(1)
        if is_kept:
            kept.append(task)
        del task

    assert detrun.record(main).result is None  # asyncio logs it, as in life
    with pytest.raises(ValueError, match="lost") as caught:
        detrun.record(main, thread_errors=True)
    assert caught.value.__notes__ == ["came out of asyncio task main/main/fail, where it was not caught"]


class Failing(asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        raise ValueError(data)

    def method(self) -> None:
        raise ValueError("lost")


async def calls_back(*functions: Callable[[], object]) -> None:
    for function in functions:
        asyncio.get_running_loop().call_soon(function)
    await asyncio.sleep(1)


async def leaves_a_future() -> None:
    asyncio.get_running_loop().create_future().set_exception(ValueError("lost"))
    await asyncio.sleep(1)


async def serves() -> None:
    server = await asyncio.get_running_loop().create_server(Failing, "localhost", 1000)
    _, writer = await asyncio.open_connection("localhost", 1000)
    writer.write(b"x")
    await asyncio.sleep(1)
    writer.close()
    server.close()


@pytest.mark.parametrize(
    ("main", "origin"),
    [
        (partial(calls_back, Failing().method), "asyncio's callback Failing.method"),
        (partial(calls_back, partial(Failing.method, Failing())), "asyncio's callback Failing.method"),
        (leaves_a_future, "a future of asyncio's"),
        (serves, "a call of protocol Failing"),
    ],
)
def test_what_fails_outside_tasks_is_named(main: Any, origin: str) -> None:
    with pytest.raises(ValueError, match=r"lost|x") as caught:
        detrun.record(main, thread_errors=True)
    assert caught.value.__notes__ == [f"came out of {origin}, where it was not caught"]


def test_a_callback_that_fails_beside_another_failure_is_named_in_its_note() -> None:
    with pytest.raises(ValueError, match="lost") as caught:
        detrun.record(partial(calls_back, Failing().method, partial(int, "x")), thread_errors=True)
    assert "asyncio's callback int has ended by ValueError: invalid literal for int()" in caught.value.__notes__[-1]


async def forgets_to_await() -> str:
    async def save() -> None:
        pass

    async def work() -> None:
        save()
        await asyncio.sleep(0)

    await asyncio.create_task(work())
    return "done"


def test_a_coroutine_that_nothing_awaits_is_a_finding_of_explore_and_a_warning_elsewhere() -> None:
    with pytest.warns(RuntimeWarning, match="coroutine 'forgets_to_await.<locals>.save' was never awaited"):
        run = detrun.record(forgets_to_await)
    assert run.result == "done"
    with pytest.warns(RuntimeWarning):
        assert detrun.replay(forgets_to_await, recording=run.recording).digest == run.digest
    with pytest.raises(
        RuntimeWarning, match=r"save' was never awaited \(test_reports.py:\d+\), and dropped at test_reports"
    ) as raised:
        detrun.record(forgets_to_await, thread_errors=True)
    assert "a call in main/forgets_to_await/work" in "".join(raised.value.__notes__)
    failure = detrun.explore(forgets_to_await, schedules=5, directory=None, confirm=False).failure
    assert failure is not None
    assert isinstance(failure.exception, RuntimeWarning)
    line = forgets_to_await.__code__.co_firstlineno + 5  # where the coroutine is dropped
    assert failure.signature.endswith(f"test_reports.py:{line}")
    old = NewRun().execute(forgets_to_await, (), Options(thread_rules=8, backend="asyncio", thread_errors=True))
    assert detrun.replay(forgets_to_await, recording=old.recording, raise_errors=False).digest == old.digest
