"""What still runs of an asyncio program when its main task, or the future that it waits for, has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

import detrun
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun_scheduler.asyncio_host import main_thread

seen: list[object] = []


def queue(number: int) -> None:
    """A callback that queues the next one, and so on."""
    seen.append(number)
    if number < 12:
        asyncio.get_running_loop().call_soon(queue, number + 1)


async def queues_a_callback() -> None:
    asyncio.get_running_loop().call_soon(queue, 0)


async def has_a_callback_of_its_own() -> None:
    task: Any = asyncio.current_task()
    task.add_done_callback(lambda task: queue(10))
    task.add_done_callback(lambda task: seen.append(task.result()))


async def fails_with_a_callback_of_its_own() -> None:
    await asyncio.sleep(0)
    asyncio.current_task().add_done_callback(lambda task: seen.append(repr(task.exception())))  # type: ignore[union-attr]
    raise ValueError("of the main task")


async def has_a_callback_that_makes_a_task() -> None:
    async def other() -> None:
        seen.append("never begins")

    def make(task: object) -> None:
        kept.append(asyncio.get_running_loop().create_task(other()))
        kept[0].add_done_callback(lambda task: seen.append(("cancelled", task.cancelled())))

    kept: list[Any] = []
    asyncio.current_task().add_done_callback(make)  # type: ignore[union-attr]


async def is_waited_for_by_another_task() -> None:
    async def waits(task: Any) -> None:
        await task
        seen.append("waited")
        await asyncio.sleep(0)
        seen.append("never goes on")

    kept = asyncio.create_task(waits(asyncio.current_task()))
    await asyncio.sleep(0.1)
    seen.append(kept.done())


async def closes_a_transport_in_the_last_round() -> None:
    class Protocol(asyncio.Protocol):
        def connection_lost(self, error: object) -> None:
            seen.append("lost")

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Protocol, "127.0.0.1", 0)
    transport, _ = await loop.create_connection(Protocol, *server.sockets[0].getsockname())
    server.close()
    asyncio.current_task().add_done_callback(lambda task: transport.close())  # type: ignore[union-attr]


def waits_for_a_future(is_told_by_a_timer: bool) -> Callable[[], None]:
    def program() -> None:
        async def ends() -> None:
            await asyncio.sleep(0)
            adds()
            future.set_result("ended")

        def adds() -> None:
            future.add_done_callback(lambda future: seen.append(future.result()))

        loop = asyncio.new_event_loop()
        future = loop.create_future()
        if is_told_by_a_timer:
            loop.call_soon(adds)
            loop.call_later(0.1, future.set_result, "ended")
        else:
            kept = loop.create_task(ends())
        loop.run_until_complete(future)
        seen.append("returned")
        if not is_told_by_a_timer:
            loop.run_until_complete(kept)
        loop.close()

    program.__name__ = f"waits_for_a_future_that_a_{'timer' if is_told_by_a_timer else 'task'}_ends"
    return program


def stops_before_it_ends() -> None:
    async def main() -> None:
        asyncio.current_task().add_done_callback(lambda task: seen.append("told"))  # type: ignore[union-attr]
        asyncio.get_running_loop().stop()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    seen.append("returned")
    with pytest.raises(RuntimeError, match="stopped before Future completed"):
        loop.run_until_complete(asyncio.sleep(1))  # by the end of the task before
    loop.close()


ASYNC = [
    *(queues_a_callback, has_a_callback_of_its_own, fails_with_a_callback_of_its_own, has_a_callback_that_makes_a_task),
    *(is_waited_for_by_another_task, closes_a_transport_in_the_last_round),
]
PLAIN = [waits_for_a_future(True), waits_for_a_future(False), stops_before_it_ends]


def told(run: Callable[[], Any]) -> list[object]:
    """What ``run`` leaves in `seen`, and the error that it ends with."""
    seen.clear()
    try:
        run()
    except ValueError as error:
        seen.append(str(error))
    return list(seen)


def in_life(program: Callable[..., Any]) -> list[object]:
    return told(program if program in PLAIN else lambda: asyncio.run(program()))


@pytest.mark.parametrize("program", [*ASYNC, *PLAIN], ids=lambda program: program.__name__)
def test_what_runs_at_the_end_is_what_runs_in_life(
    program: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = in_life(program)
    assert expected
    ways = ({}, {"backend": "asyncio"}) if program in ASYNC else ({},)
    for options in ways:
        main = program if options or program in PLAIN else lambda: asyncio.run(program())
        assert told(lambda main=main, options=options: detrun.record(main, asyncio_order="fifo", **options)) == expected
        for seed in range(12):
            seen.clear()
            run = NewRun(seed=seed, strategy="random").execute(main, (), Options(**options))
            assert seen_again(main, run) == list(seen)
            # Another task may be late, so that more rounds go by while what is left is closed.
            assert all(one in seen for one in expected if one != "of the main task")
    if program in ASYNC:
        fast = told(lambda: detrun.record(program, seed=1, backend="asyncio"))
        monkeypatch.setattr(main_thread, "needs_no_stack", lambda threads, main: False)
        assert told(lambda: detrun.record(program, seed=1, backend="asyncio")) == fast


def seen_again(main: Callable[..., Any], run: Any) -> list[object]:
    """What a replay of ``run`` leaves in `seen`, which is then as it was."""
    before = list(seen)
    seen.clear()
    with suppress(ValueError):
        assert detrun.replay(main, recording=run.recording).digest == run.digest
    again, seen[:] = list(seen), before
    return again


@pytest.mark.parametrize("order", ["any", "fifo"])
def test_waiting_for_what_has_ended_is_over_at_once(order: str) -> None:
    def program() -> tuple[int, int, int]:
        async def answers() -> int:
            return 4

        loop = asyncio.new_event_loop()
        future = loop.create_future()
        future.set_result(3)
        first = loop.run_until_complete(future)
        task = loop.create_task(answers())
        found = first, loop.run_until_complete(task), loop.run_until_complete(task)
        loop.close()
        return found

    assert detrun.record(program, asyncio_order=order).result == program() == (3, 4, 4)


def test_recordings_in_which_such_callbacks_did_not_run_are_replayed_without_them() -> None:
    old = NewRun(seed=1).execute(has_a_callback_of_its_own, (), Options(thread_rules=8, backend="asyncio"))
    assert old.recording.header["extra"]["thread_rules"] == 8
    seen.clear()
    assert detrun.replay(has_a_callback_of_its_own, recording=old.recording).digest == old.digest
    assert seen == []


@pytest.mark.parametrize("order", ["any", "fifo"])
def test_worker_threads_of_anyio_end_with_the_main_task(order: str) -> None:
    anyio = pytest.importorskip("anyio")

    async def main() -> tuple[int, int]:
        first: int = await anyio.to_thread.run_sync(lambda: 3)
        return first, await anyio.to_thread.run_sync(lambda: 4)

    for program, options in ((main, {"backend": "asyncio"}), (lambda: anyio.run(main), {})):
        for seed in range(10):
            run = detrun.record(program, seed=seed, asyncio_order=order, **options)
            assert run.result == (3, 4)
            assert detrun.replay(program, recording=run.recording).digest == run.digest
