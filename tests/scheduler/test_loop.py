"""The loop keeps its own rules: equal seeds give equal journals in every process, and journals add up.

Programs are random: a few tasks, each a list of small actions on shared primitives, every wait under a time limit.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import detrun_scheduler
from detrun_scheduler import current
from detrun_scheduler.errors import DeadlockError, StepLimitError, UsageError
from detrun_scheduler.journal import (
    CHECKPOINT,
    END,
    EVENT_ARGUMENTS,
    HAS_EVENTS,
    KIND_MASK,
    SPAWN,
    TIME,
    WAKE,
    Chunk,
    Journal,
)
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.run import ActiveRun, Verifier
from detrun_scheduler.strategies import make
from tests.examples import examples

ACTIONS = (
    "checkpoint",
    "sleep",
    "lock",
    "semaphore",
    "send",
    "receive",
    "set",
    "wait",
    "spawn",
    "cancel",
    "draw",
    "shield",
)
Tasks = list[list[tuple[str, int]]]
tasks_of_a_program = st.lists(
    st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 3)), max_size=6), min_size=1, max_size=4
)


def program_of(tasks: Tasks) -> Callable[[], Awaitable[list[str]]]:
    """A program that does the tasks' actions at the same time and returns what happened, in order."""

    async def program() -> list[str]:
        log: list[str] = []
        lock, semaphore, event = trio.Lock(), trio.Semaphore(1), trio.Event()
        send, receive = trio.open_memory_channel[int](1)
        scopes = [trio.CancelScope() for _ in tasks]

        async def act(name: str, action: str, value: int, nursery: trio.Nursery) -> None:
            match action:
                case "checkpoint":
                    await trio.lowlevel.checkpoint()
                case "sleep":
                    await trio.sleep(value / 2)
                case "lock":
                    async with lock:
                        await trio.sleep(value)
                case "semaphore":
                    async with semaphore:
                        await trio.lowlevel.checkpoint()
                case "send":
                    await send.send(value)
                case "receive":
                    log.append(f"{name} got {await receive.receive()}")
                case "set":
                    event.set()
                case "wait":
                    await event.wait()
                case "spawn":
                    nursery.start_soon(do, f"{name}+", [("checkpoint", 0)] * value, nursery)
                case "cancel":
                    scopes[value % len(scopes)].cancel()
                case "draw":
                    assert current.run is not None
                    log.append(f"{name} drew {current.run.draw() % 4}")
                case "shield":
                    with trio.CancelScope(shield=True):
                        await trio.sleep(value)

        async def do(name: str, actions: list[tuple[str, int]], nursery: trio.Nursery) -> None:
            for action, value in actions:
                with trio.move_on_after(3) as limit:
                    await act(name, action, value, nursery)
                log.append(f"{name} {action} {'late' if limit.cancelled_caught else 'done'} {trio.current_time():g}")

        async def scoped(index: int, nursery: trio.Nursery) -> None:
            with scopes[index]:
                await do(str(index), tasks[index], nursery)

        async with trio.open_nursery() as nursery:
            for index in range(len(tasks)):
                nursery.start_soon(scoped, index, nursery)
        return log

    return program


class Checking:
    """Has a run assert its invariants after every step: those of its host, journal, timers and paths."""

    def step_closed(self, run: ActiveRun, task: int, outcome_byte: int, record: bytes) -> None:
        cast("Any", run)._check()


def journaled(
    program: Callable[[], Awaitable[Any]], strategy: str, seed: int, verifier: Verifier | None = None
) -> tuple[Any, list[Chunk]]:
    chunks: list[Chunk] = []
    loop = RunLoop(make(strategy), seed=seed, journal=Journal(chunks.append), verifier=verifier)
    return loop.run(program).unwrap(), chunks


@examples(30)
@given(tasks=tasks_of_a_program, strategy=st.sampled_from(["fifo", "random", "pct"]), seed=st.integers(0, 2**32 - 1))
def test_a_seed_gives_the_same_journal_twice_and_the_journal_adds_up(tasks: Tasks, strategy: str, seed: int) -> None:
    program = program_of(tasks)
    first, chunks = journaled(program, strategy, seed, Checking())
    second, again = journaled(program, strategy, seed, Checking())
    assert first == second
    assert [chunk.digest for chunk in chunks] == [chunk.digest for chunk in again]
    assert sum(chunk.steps for chunk in chunks) == check_journal(chunks)


def events_of(chunk: Chunk) -> Iterator[list[tuple[int, list[int]]]]:
    """The events of each step, decoded independently of the code that wrote them."""
    position = 0

    def varint() -> int:
        nonlocal position
        number = shift = 0
        while True:
            byte = chunk.events[position]
            position += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    for byte in chunk.outcomes:
        record: list[tuple[int, list[int]]] = []
        while byte & HAS_EVENTS:
            code = chunk.events[position]
            position += 1
            if code == END:
                break
            record.append((code, [varint() for _ in range(EVENT_ARGUMENTS[code])]))
        yield record
    assert position == len(chunk.events)


def check_journal(chunks: list[Chunk]) -> int:
    """Run the journal as the module's opening says that one can, from task 0 on; return the steps it has."""
    runnable, spawned, steps, time = {0}, 0, 0, 0.0
    for chunk in chunks:
        times, choices = iter(chunk.times), iter(chunk.choices)
        for byte, record in zip(chunk.outcomes, events_of(chunk), strict=True):
            ordered = sorted(runnable)
            task = ordered[next(choices)] if len(ordered) > 1 else ordered[0]
            runnable.remove(task)
            if byte & KIND_MASK == CHECKPOINT:
                runnable.add(task)
            for code, arguments in record:
                if code == SPAWN:
                    spawned += 1
                    assert arguments == [spawned]
                if code in (SPAWN, WAKE):
                    assert arguments[0] not in runnable
                    runnable.add(arguments[0])
                if code == TIME:
                    now = next(times)
                    assert now > time
                    time = now
            steps += 1
        assert next(times, None) is None
        assert next(choices, None) is None
    assert runnable == set()
    return steps


IN_A_FRESH_PROCESS = """
import json, sys
sys.path[:0] = [{directory!r}]
from test_loop import journaled, program_of, FIXED_TASKS
print(json.dumps([[journaled(program_of(FIXED_TASKS), strategy, seed)[1][-1].digest.hex()
                   for seed in range(5)] for strategy in ("fifo", "random", "pct")]))
"""

FIXED_TASKS: Tasks = [[(action, index) for action in ACTIONS[index:] + ACTIONS[:index]] for index in range(4)]


def test_digests_are_equal_in_fresh_processes_under_other_hash_seeds() -> None:
    def digests(hash_seed: str) -> Any:
        finished = subprocess.run(
            [sys.executable, "-c", IN_A_FRESH_PROCESS.format(directory=str(Path(__file__).parent))],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={
                "PYTHONHASHSEED": hash_seed,
                "PATH": "",
                "PYTHONPATH": str(Path(detrun_scheduler.__file__).parent.parent),
            },
        )
        return json.loads(finished.stdout)

    here = [
        [journaled(program_of(FIXED_TASKS), strategy, seed)[1][-1].digest.hex() for seed in range(5)]
        for strategy in ("fifo", "random", "pct")
    ]
    assert digests("0") == digests("4242") == here
    assert len(set(here[1])) == 5  # negative twin: another seed gives another digest


def test_a_digest_tells_apart_runs_that_differ_in_one_draw() -> None:
    async def program(draws: int) -> None:
        assert current.run is not None
        for _ in range(draws):
            current.run.draw()

    digests = {journaled(partial(program, draws), "fifo", 0)[1][-1].digest for draws in range(4)}
    assert len(digests) == 4


def test_draws_depend_on_the_task_and_its_own_draws_only() -> None:
    """Rescheduled runs keep their random numbers."""

    async def program() -> dict[str, list[int]]:
        drawn: dict[str, list[int]] = {}

        async def draws(name: str) -> None:
            for _ in range(5):
                assert current.run is not None
                drawn.setdefault(name, []).append(current.run.draw())
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for name in ("a", "b", "c"):
                nursery.start_soon(draws, name, name=name)
        return drawn

    expected, _ = journaled(program, "fifo", 7)
    assert len({number for numbers in expected.values() for number in numbers}) == 15
    for strategy in ("random", "pct"):
        loop = RunLoop(make(strategy), seed=7)
        assert loop.run(program).unwrap() == expected


def test_a_run_inside_a_run_is_refused_and_the_outer_one_goes_on() -> None:
    async def program() -> str:
        with pytest.raises(UsageError, match="cannot be called inside a run"):
            RunLoop(make("fifo")).run(trio.sleep_forever)
        await trio.sleep(1)
        return "went on"

    assert RunLoop(make("fifo")).run(program).unwrap() == "went on"


@pytest.mark.parametrize("limit", [1, 2, 10, 16_384, 20_000])
def test_a_step_limit_is_exact(limit: int) -> None:
    async def program() -> None:
        while True:
            await trio.lowlevel.checkpoint()

    chunks: list[Chunk] = []
    with pytest.raises(StepLimitError):
        RunLoop(make("fifo"), max_steps=limit, journal=Journal(chunks.append)).run(program)
    assert sum(chunk.steps for chunk in chunks) == limit
    assert current.run is None


def test_the_journal_of_a_failed_run_ends_with_the_step_that_failed() -> None:
    async def program() -> None:
        await trio.sleep(1)
        await trio.Event().wait()

    chunks: list[Chunk] = []
    with pytest.raises(DeadlockError, match="deadlock at step"):
        RunLoop(make("fifo"), journal=Journal(chunks.append)).run(program)
    # The init task, main up to its sleep, and main after it; the clean-up is not part of the run.
    assert sum(chunk.steps for chunk in chunks) == 3
    assert list(chunks[-1].times) == [1.0]


def test_a_run_with_many_tasks_names_and_steps_each_of_them() -> None:
    async def program() -> int:
        done = 0

        async def child() -> None:
            nonlocal done
            await trio.lowlevel.checkpoint()
            done += 1

        async with trio.open_nursery() as nursery:
            for _ in range(3000):
                nursery.start_soon(child)
        return done

    result, chunks = journaled(program, "random", 1)
    assert result == 3000
    paths = [path for chunk in chunks for _, _, path in chunk.tasks]
    assert paths[2:5] == ["main/child", "main/child[1]", "main/child[2]"]
    assert len(set(paths)) == 3002
