"""Threads of nodes: they know their node, pause with it, and end with it, wherever they stand."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trio

import detrun


def recorded(main: Any) -> Any:
    """The result, the same on replay."""
    run = detrun.record(main)
    assert detrun.replay(main, recording=run.recording).digest == run.digest
    return run.result


def test_a_thread_knows_the_node_whose_code_started_it() -> None:
    async def main() -> list[str]:
        seen: list[str] = []

        def ask() -> None:
            seen.append(detrun.this_node().name)

        async def start_threads() -> None:
            await trio.to_thread.run_sync(ask)
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()

        async with detrun.World() as world:
            for name in ("a", "b"):
                world.node(name).start(start_threads)
                await world.node(name).ended()
            await start_threads()
        return seen

    assert recorded(main) == ["a", "a", "b", "b", "driver", "driver"]


def test_a_crash_takes_threads_in_the_middle_of_what_they_do_and_no_finally_of_theirs_runs() -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        lock = threading.Lock()
        never = threading.Event()

        def work(how: str) -> None:
            try:
                seen.append(f"{how} begins")
                if how == "waits":
                    never.wait()
                elif how == "holds":
                    with lock:
                        time.sleep(1.0)
                else:
                    time.sleep(1.0)
                seen.append(f"{how} ends")
            finally:
                seen.append(f"{how} cleans up")

        async def run() -> None:
            for how in ("waits", "holds"):
                threading.Thread(target=work, args=(how,)).start()
            await trio.to_thread.run_sync(work, "sleeps")

        async with detrun.World() as world:
            world.node("a").start(run)
            await trio.sleep(0.5)
            world.node("a").crash()
            await trio.sleep(2.0)
        return sorted(seen)

    assert recorded(main) == ["holds begins", "sleeps begins", "waits begins"]


def test_a_thread_that_crashes_its_own_node_goes_on_to_where_it_gives_way() -> None:
    async def main() -> list[str]:
        seen: list[str] = []

        def crash() -> None:
            detrun.this_node().crash()
            seen.append("still here")
            time.sleep(0.0)
            seen.append("never")

        async with detrun.World() as world:
            world.node("a").start(trio.to_thread.run_sync, crash)
            await trio.sleep(1.0)
            seen.append(repr(world.node("a")))
        return seen

    assert recorded(main) == ["still here", "<Node a 10.0.0.2 down>"]


def test_threads_stand_still_with_their_node_and_find_their_time_past() -> None:
    async def main() -> list[tuple[str, float]]:
        seen: list[tuple[str, float]] = []

        def tick(name: str) -> None:
            for _ in range(3):
                time.sleep(1.0)
                seen.append((name, time.monotonic()))

        async with detrun.World() as world:
            for name in ("paused", "other"):
                world.node(name).start(trio.to_thread.run_sync, tick, name)
            await trio.sleep(1.5)
            world.node("paused").pause()
            await trio.sleep(4.0)
            world.node("paused").resume()
            await trio.sleep(3.0)
        return seen

    seen = recorded(main)
    assert [moment for name, moment in seen if name == "other"] == [1.0, 2.0, 3.0]
    assert [moment for name, moment in seen if name == "paused"] == [1.0, 5.5, 6.5]


def test_threads_that_died_take_no_places_away_from_other_nodes_nor_from_the_next_life() -> None:
    async def main() -> list[str]:
        seen: list[str] = []

        async def fill() -> None:
            async with trio.open_nursery() as nursery:
                for _ in range(45):
                    nursery.start_soon(trio.to_thread.run_sync, time.sleep, 100.0)

        async def ask() -> None:
            limiter = trio.to_thread.current_default_thread_limiter()
            seen.append(await trio.to_thread.run_sync(lambda: f"{detrun.this_node().name} {limiter.borrowed_tokens}"))

        async with detrun.World() as world:
            for _ in range(2):
                world.node("a").restart(fill)
                await trio.sleep(1.0)
            world.node("a").restart(ask)
            world.node("b").start(ask)
            await world.node("a").ended()
            await world.node("b").ended()
            await ask()
        return sorted(seen)

    assert recorded(main) == ["a 1", "b 1", "driver 1"]  # who asks has one


def test_threads_that_wait_for_ever_do_not_outlive_the_world() -> None:
    async def main() -> int:
        async def wait() -> None:
            threading.Thread(target=threading.Event().wait).start()

        async with detrun.World() as world:
            world.node("a").start(wait)
            await trio.sleep(1.0)
        return threading.active_count()

    assert recorded(main) == 1


@pytest.mark.parametrize("how", ["crash", "stays"])
def test_no_code_of_a_crashed_thread_runs_when_the_interpreter_ends(how: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, threading, time, trio, detrun\n"
        "def work():\n"
        "    try:\n"
        "        time.sleep(10)\n"
        "    finally:\n"
        "        print('cleaned up', flush=True)\n"
        "async def main():\n"
        "    async with detrun.World() as world:\n"
        "        world.node('a').start(trio.to_thread.run_sync, work)\n"
        "        await trio.sleep(1)\n"
        "        if sys.argv[1] == 'crash':\n"
        "            world.node('a').crash()\n"
        "        await trio.sleep(20)\n"
        "detrun.record(main)\n"
    )
    ended = subprocess.run([sys.executable, str(program), how], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == ("" if how == "crash" else "cleaned up\n")


def test_the_first_run_of_a_process_is_like_the_next_where_code_of_nodes_is_preempted(tmp_path: Path) -> None:
    """Where detrun itself is was asked of the node's disk, by the first code that was watched."""
    program = tmp_path / "program.py"
    program.write_text(
        """
import threading, detrun

def threaded():
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()

async def main():
    async with detrun.World() as world:
        world.node("a").start(threaded)
        await world.node("a").ended()

runs = [detrun.record(main, preemption="line", include=["*/program.py"]) for _ in range(2)]
assert runs[0].digest == runs[1].digest, [run.steps for run in runs]
"""
    )
    subprocess.run([sys.executable, str(program)], check=True, timeout=60)
