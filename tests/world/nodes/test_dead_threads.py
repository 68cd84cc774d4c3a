"""Threads of crashed nodes are freed with their run, and none of their code runs, then or later."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio

import detrun
from detrun_scheduler.trio_host import graveyard

ran: list[str] = []


class Held:
    """Counts its living instances, by a finalizer with a block of its own."""

    alive = 0

    def __init__(self) -> None:
        Held.alive += 1

    def __del__(self) -> None:
        try:
            raise KeyError
        except KeyError:
            Held.alive -= 1


@contextmanager
def surrounding() -> Iterator[None]:
    try:
        yield
    finally:
        ran.append("with")


def generating() -> Iterator[int]:
    try:
        yield 1
    finally:
        ran.append("generator")


def stuck() -> None:
    held, suspended, behind = Held(), generating(), [generating()]
    next(suspended)
    next(behind[0])
    try:
        with surrounding(), threading.Lock():
            sorted([1, 2], key=lambda _: time.sleep(1_000))
    except BaseException:
        ran.append("except")
    finally:
        ran.append("finally")
        del held


def threaded() -> None:
    threads = [threading.Thread(target=stuck) for _ in range(2)]
    for thread in threads:
        thread.start()
    stuck()


def with_a_loop() -> None:
    async def main() -> None:
        await asyncio.gather(asyncio.to_thread(stuck), asyncio.sleep(1_000))

    asyncio.run(main())


def crashing(program: Callable[[], object]) -> Callable[[], Any]:
    async def main() -> int:
        async with detrun.World() as world:
            world.node("a").start(program)
            await trio.sleep(1)
            world.node("a").crash()
        return Held.alive

    return main


@pytest.mark.parametrize("preemption", ["sync", "opcode"])
@pytest.mark.parametrize("program", [threaded, with_a_loop])
def test_nothing_runs_and_nothing_stays(program: Callable[[], None], preemption: Any) -> None:
    ran.clear()
    kept = len(graveyard._kept)
    include = ["*/test_dead_threads.py"] if preemption == "opcode" else []
    run = detrun.record(crashing(program), preemption=preemption, include=include)
    assert run.result > 0, "the threads have not come to where they wait"
    gc.collect()
    assert (ran, Held.alive, len(graveyard._kept)) == ([], 0, kept)


def test_a_replay_frees_them_too() -> None:
    ran.clear()
    run = detrun.record(crashing(threaded))
    assert detrun.replay(crashing(threaded), recording=run.recording).digest == run.digest
    gc.collect()
    assert (ran, Held.alive) == ([], 0)


def test_blocks_of_the_same_code_run_elsewhere_afterwards() -> None:
    ran.clear()
    detrun.record(crashing(threaded))
    with surrounding():
        pass
    with pytest.raises(ZeroDivisionError), surrounding():
        raise ZeroDivisionError
    assert ran == ["with", "with"]


def test_a_thread_in_a_finalizer_is_kept_as_its_caller_would_go_on() -> None:
    ran.clear()

    class Waiting:
        def __del__(self) -> None:
            time.sleep(1_000)

    def program() -> None:
        waiting = Waiting()
        del waiting
        ran.append("went on")

    kept = len(graveyard._kept)
    detrun.record(crashing(program))
    gc.collect()
    assert ran == []
    assert len(graveyard._kept) == kept + 1
