"""select, poll, epoll and selectors in a run: virtual time, pipes between threads, refusals by name; never a hang."""

from __future__ import annotations

import os
import select
import selectors
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from typing import Any

import pytest
import trio

import detrun
from detrun.errors import DeadlockError, HiddenStateError

UNREADY, PEER = socket.socketpair()
READY = socket.socketpair()


def a_pipe() -> tuple[int, int]:
    return os.pipe()


def by_selectors(kind: Any) -> Callable[[list[Any], float | None], Any]:
    def wait(files: list[Any], timeout: float | None) -> Any:
        with kind() as selector:
            for file in files:
                selector.register(file, selectors.EVENT_READ)
            return selector.select(timeout)

    return wait


def by_poll(files: list[Any], timeout: float | None) -> Any:
    poll = select.poll()
    for file in files:
        poll.register(file, select.POLLIN)
    return poll.poll(None if timeout is None else timeout * 1000)


def by_epoll(files: list[Any], timeout: float | None) -> Any:
    with select.epoll() as epoll:
        for file in files:
            epoll.register(file, select.EPOLLIN)
        return epoll.poll(timeout)


WAYS: dict[str, Callable[[list[Any], float | None], Any]] = {
    "select": lambda files, timeout: [one for one in select.select(files, [], [], timeout) if one],
    "poll": by_poll,
    "epoll": by_epoll,
    "SelectSelector": by_selectors(selectors.SelectSelector),
    "PollSelector": by_selectors(selectors.PollSelector),
    "EpollSelector": by_selectors(selectors.EpollSelector),
}
every_way = pytest.mark.parametrize("way", WAYS)


def in_both(program: Callable[[], Any]) -> list[Any]:
    """What ``program`` gives in the main thread of a run, and in a task."""

    async def task() -> Any:
        return program()

    return [detrun.record(main).result for main in (program, task)]


@every_way
def test_with_nothing_to_watch_virtual_time_passes(way: str) -> None:
    def program() -> tuple[list[Any], float]:
        return list(WAYS[way]([], 30.0)), time.monotonic()

    started = time.monotonic()
    assert in_both(program) == [([], 30.0)] * 2
    assert time.monotonic() - started < 20
    with pytest.raises(DeadlockError):
        detrun.record(lambda: WAYS[way]([], None))


@every_way
def test_a_pipe_between_two_threads_is_waited_for(way: str) -> None:
    def program() -> tuple[bool, bool, float]:
        reading, writing = a_pipe()

        def write() -> None:
            time.sleep(5)
            os.write(writing, b"x")

        try:
            before = bool(list(WAYS[way]([reading], 2.0)))
            thread = threading.Thread(target=write)
            thread.start()
            found = list(WAYS[way]([reading], None))
            thread.join()
            return before, bool(found), time.monotonic()
        finally:
            os.close(reading)
            os.close(writing)

    for before, found, ended in in_both(program):
        assert (before, found) == (False, True)
        assert 7 <= ended < 9
    first, second = (detrun.record(program, seed=3) for _ in range(2))
    assert first.digest == second.digest


@every_way
def test_a_pipe_that_nothing_writes_to_is_a_deadlock(way: str) -> None:
    def program() -> None:
        reading, writing = a_pipe()
        try:
            threads = [threading.Thread(target=WAYS[way], args=([reading], None)) for _ in range(2)]
            for thread in threads:
                thread.start()
            WAYS[way]([reading], None)
        finally:
            os.close(reading)
            os.close(writing)

    with pytest.raises(DeadlockError, match="select: nothing comes through the pipe"):
        detrun.record(program, thread_errors=True)


@every_way
def test_a_real_socket_is_refused_by_name_unless_it_is_ready(way: str) -> None:
    READY[1].send(b"x")
    assert detrun.record(lambda: bool(list(WAYS[way]([READY[0]], None)))).result is True
    READY[0].recv(10)
    assert detrun.record(lambda: list(WAYS[way]([UNREADY], 0))).result == []
    with pytest.raises(HiddenStateError, match=r"select\.(select|poll|epoll) of a file.*test_waits_for_files.py"):
        detrun.record(lambda: WAYS[way]([UNREADY], 3.0))


@every_way
def test_a_task_may_ask_of_a_simulated_socket_and_is_refused_to_wait_for_it(way: str) -> None:
    async def program(seconds: float) -> Any:
        async with detrun.World() as world:
            world.node("server").start(trio.serve_tcp, lambda stream: stream.send_all(b"data"), 80)
            await trio.sleep(0.1)
            stream = await trio.open_tcp_stream("server", 80)
            sock: Any = stream.socket._sock  # type: ignore[attr-defined]
            before = bool(list(WAYS[way]([sock], 0)))
            await trio.sleep(1)
            found = bool(list(WAYS[way]([sock], seconds)))
            await stream.receive_some()
            await stream.receive_some()
            return before, found, bool(list(WAYS[way]([sock], seconds)))

    assert detrun.record(program, 0).result == (False, True, True)  # in the end it tells of the end

    async def waits() -> None:
        async with detrun.World() as world:
            world.node("server").start(trio.serve_tcp, trio.sleep, 80)
            await trio.sleep(0.1)
            stream = await trio.open_tcp_stream("server", 80)
            WAYS[way]([stream.socket._sock], 0.3)  # type: ignore[attr-defined]

    with pytest.raises(HiddenStateError, match=r"select\.(select|poll|epoll) of a simulated socket"):
        detrun.record(waits)


@every_way
def test_a_thread_waits_for_a_simulated_socket(way: str) -> None:
    async def server() -> None:
        await trio.serve_tcp(sends_later, 80)

    async def sends_later(stream: trio.SocketStream) -> None:
        await trio.sleep(3)
        await stream.send_all(b"data")

    def waits(sock: Any) -> tuple[bool, float, bool, float]:
        early = bool(list(WAYS[way]([sock], 1.0)))
        then = time.monotonic()
        return early, round(then, 1), bool(list(WAYS[way]([sock], None))), round(time.monotonic(), 1)

    async def program() -> Any:
        async with detrun.World() as world:
            world.node("server").start(server)
            await trio.sleep(0.1)
            stream = await trio.open_tcp_stream("server", 80)
            start = round(time.monotonic(), 1)
            found = await trio.to_thread.run_sync(waits, stream.socket._sock)  # type: ignore[attr-defined]
            return found[0], round(found[1] - start, 1), found[2], round(found[3] - start, 1)

    assert detrun.record(program).result == (False, 1.0, True, 3.0)


def test_a_loop_that_polls_lets_others_run() -> None:
    def program() -> int:
        done: list[int] = []
        threading.Thread(target=done.append, args=(1,)).start()
        rounds = 0
        while not done:
            select.select([], [], [], 0)
            rounds += 1
        return rounds

    assert detrun.record(program).result >= 1


def test_everything_is_real_after_a_run() -> None:
    before = select.select, select.poll, select.epoll, vars(selectors.PollSelector)["_selector_cls"]
    detrun.record(lambda: None)
    assert (select.select, select.poll, select.epoll, vars(selectors.PollSelector)["_selector_cls"]) == before


def test_a_thread_pool_of_multiprocessing_runs() -> None:
    def program() -> list[int]:
        with ThreadPool(2) as pool:
            return pool.map(abs, [-1, 2, -3])

    found = detrun.explore(program, strategy="random", schedules=5, directory=None)
    assert found.verdict == "passed", found
    run = detrun.record(program)
    assert run.result == [1, 2, 3]
    assert detrun.replay(program, recording=run.recording).digest == run.digest
