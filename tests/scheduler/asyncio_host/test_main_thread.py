"""The main thread of an asyncio program: with a stack or without one, a run is the same."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import detrun
from detrun_scheduler import current
from detrun_scheduler.asyncio_host import main_thread
from detrun_scheduler.asyncio_host.main_thread import AsyncioMain
from detrun_scheduler.threads.simulated_thread import SimulatedThread

seen: list[str] = []  # what the programs below have come to, in order
kept: list[Any] = []


async def _nap(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


async def _cleans_up(seconds: float) -> None:
    try:
        await asyncio.sleep(100)
    finally:
        await asyncio.sleep(seconds)
        seen.append(f"cleaned up after {seconds} s")


async def _numbers() -> AsyncIterator[int]:
    try:
        for number in range(10):
            yield number
            await asyncio.sleep(0)
    finally:
        await asyncio.sleep(0.5)
        seen.append("generator closed")


async def returns() -> str:
    await asyncio.gather(_nap(1), _nap(2))
    return threading.current_thread().name


async def raises() -> None:
    await _nap(2)
    raise ValueError("of the main function")


async def leaves_tasks() -> int:
    kept[:] = [asyncio.create_task(_cleans_up(seconds)) for seconds in (1, 2)]
    await asyncio.sleep(1)
    return 1


async def leaves_tasks_and_raises() -> None:
    await leaves_tasks()
    raise ValueError("of the main function")


async def leaves_a_generator() -> None:
    generator = _numbers()
    kept[:] = [generator]
    async for number in generator:
        if number == 2:
            break


async def leaves_an_executor() -> None:
    kept[:] = [asyncio.get_running_loop().run_in_executor(None, time.sleep, 3)]
    await asyncio.sleep(1)


async def waits_for_a_thread() -> int:
    return await asyncio.to_thread(threading.active_count)


async def leaves_a_thread() -> None:
    threading.Thread(target=time.sleep, args=(100,)).start()
    await asyncio.sleep(1)


async def leaves_a_daemon() -> None:
    threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
    await asyncio.sleep(1)


async def is_interrupted() -> None:
    kept[:] = [asyncio.create_task(_cleans_up(1))]
    await _nap(2)
    raise KeyboardInterrupt


async def exits() -> None:
    await _nap(1)
    raise SystemExit(3)


async def is_cancelled() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def stops_its_loop() -> None:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(5)


async def is_deadlocked() -> None:
    kept[:] = [asyncio.create_task(_cleans_up(1))]
    await asyncio.Event().wait()


async def goes_on_for_ever() -> None:
    kept[:] = [asyncio.create_task(_cleans_up(1))]
    while True:
        await asyncio.sleep(0)


async def takes_an_argument(argument: object) -> None:
    """It is not given one."""


PROGRAMS: list[Callable[..., Any]] = [
    *(returns, raises, leaves_tasks, leaves_tasks_and_raises, leaves_a_generator, leaves_an_executor),
    *(waits_for_a_thread, leaves_a_thread, leaves_a_daemon, is_interrupted, exits, is_cancelled, stops_its_loop),
    *(is_deadlocked, goes_on_for_ever, takes_an_argument),
]


def _told(program: Callable[..., Any], folder: Path, seed: int, order: str) -> tuple[object, bytes, list[str]]:
    """How a run ends, its recording, and what it has left in `seen`."""
    seen.clear()
    kept.clear()
    path = folder / "run"
    result: object
    try:
        result = detrun.record(
            program, seed=seed, to=path, asyncio_order=order, max_steps=500, backend="asyncio"
        ).result
    except BaseException as error:
        result = type(error), str(error)
    recording = path.read_bytes()
    path.unlink()
    return result, recording, list(seen)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_run_is_the_same_with_a_main_thread_that_has_a_stack(
    program: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = [(seed, order) for seed in range(2) for order in ("any", "fifo")]
    without = [_told(program, tmp_path, *way) for way in ways]
    monkeypatch.setattr(main_thread, "needs_no_stack", lambda threads, main: False)
    assert [_told(program, tmp_path, *way) for way in ways] == without


@pytest.mark.parametrize("has_stack", [False, True])
def test_those_tests_compare_two_kinds_of_main_thread(has_stack: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> type:
        run: Any = current.require("a test")
        return type(run.host.main_task.coro)

    if has_stack:
        monkeypatch.setattr(main_thread, "needs_no_stack", lambda threads, main: False)
    assert detrun.record(main, backend="asyncio").result is (SimulatedThread if has_stack else AsyncioMain)


def test_what_calls_the_programs_code_before_it_has_a_coroutine_gets_a_stack() -> None:
    class Program:
        async def __call__(self) -> type:
            run: Any = current.require("a test")
            return type(run.host.main_task.coro)

    assert detrun.record(Program(), backend="asyncio").result is SimulatedThread


def test_what_is_left_is_closed_in_a_simulated_thread(tmp_path: Path) -> None:
    assert _told(leaves_tasks, tmp_path, 0, "any")[2] == ["cleaned up after 1 s", "cleaned up after 2 s"]
    assert _told(leaves_a_generator, tmp_path, 0, "any")[2] == ["generator closed"]


def test_no_task_of_detruns_own_counts_as_living() -> None:
    program = (
        "import asyncio, asyncio.tasks as tasks, detrun_scheduler.asyncio_host.program\n"
        "living = getattr(tasks, '_all_tasks', None) if hasattr(tasks, '_all_tasks') else tasks._scheduled_tasks\n"
        "print(len(living))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.stderr) == ("0", "")
