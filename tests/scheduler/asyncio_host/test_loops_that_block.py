"""Event loops of several threads and nodes whose tasks block them, at the same time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import trio

import detrun
from detrun_scheduler.errors import DeadlockError


def in_loops(*programs: Callable[[], Any]) -> None:
    threads = [threading.Thread(target=lambda one=one: asyncio.run(one())) for one in programs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def sleeps_in_three() -> list[tuple[int, float]]:
    ended = []

    def sleeper(number: int) -> Callable[[], Any]:
        async def program() -> None:
            for _ in range(3):
                time.sleep(0.01 * number)
                await asyncio.sleep(0)
            ended.append((number, round(time.monotonic(), 9)))

        return program

    in_loops(*(sleeper(number) for number in (1, 2, 3)))
    return sorted(ended)


def let_go_by_the_second() -> list[str]:
    said, event = [], threading.Event()

    async def first() -> None:
        event.wait()
        said.append("first")

    async def second() -> None:
        time.sleep(0.1)
        event.set()
        time.sleep(0.1)
        said.append("second")

    in_loops(first, second)
    return said


@pytest.mark.parametrize(
    ("program", "result"),
    [(sleeps_in_three, [(1, 0.03), (2, 0.06), (3, 0.09)]), (let_go_by_the_second, ["first", "second"])],
)
@pytest.mark.parametrize("order", ["any", "fifo"])
def test_each_blocks_its_own_loop_only_and_goes_on_when_it_can(program: Any, result: Any, order: str) -> None:
    for seed in range(8):
        run = detrun.record(program, seed=seed, asyncio_order=order)
        assert run.result == result
        assert len(list(run.recording.iter_steps())) == run.steps
        assert detrun.replay(program, recording=run.recording).digest == run.digest


def test_a_deadlock_of_two_tasks_that_block_their_loops_names_both() -> None:
    def crossed() -> None:
        locks = threading.Lock(), threading.Lock()

        def taker(own: threading.Lock, other: threading.Lock) -> Callable[[], Any]:
            async def program() -> None:
                with own:
                    time.sleep(0.01)
                    with other:
                        pass

            return program

        in_loops(taker(*locks), taker(*locks[::-1]))

    with pytest.raises(DeadlockError) as caught:
        detrun.record(crossed)
    assert str(caught.value).count("and blocks the event loop") == 2


def test_nodes_that_crash_while_their_tasks_block_let_the_others_go_on() -> None:
    async def blocks(seconds: float) -> None:
        while True:
            time.sleep(seconds)
            await asyncio.sleep(0)

    async def system() -> float:
        async with detrun.World() as world:
            nodes = [world.node(f"node{number}") for number in range(2)]
            for node, seconds in zip(nodes, (1, 0.3), strict=True):
                node.start(blocks, seconds)
            for node in nodes:
                await asyncio.sleep(1.05)
                node.crash()
            await asyncio.sleep(1)
        return asyncio.get_running_loop().time()

    for seed in range(4):
        assert detrun.record(system, seed=seed).result == pytest.approx(3.1)


def test_tasks_of_trio_go_on_while_a_loop_of_another_thread_is_blocked() -> None:
    async def blocks() -> None:
        time.sleep(10)
        await asyncio.sleep(0)

    async def program() -> list[float]:
        at: list[float] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, lambda: asyncio.run(blocks()))
            for _ in range(3):
                await trio.sleep(1)
                at.append(trio.current_time())
        return [*(round(one - at[0]) for one in at), round(trio.current_time() - at[0])]

    for seed in range(4):
        assert detrun.record(program, seed=seed, backend="trio").result == [0, 1, 2, 9]
