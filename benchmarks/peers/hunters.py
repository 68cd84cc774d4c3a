"""Hunters: each library looks for a bug of `benchmarks.bugs` until its first failure, up to a number of schedules.

A hunter reports the result of one exploration. Any failure counts, because every one of these programs has a single
bug. Thread programs are interrupted at opcodes, by all. What a library calls inconclusive (frontrun: a run that hangs
though no locks form a cycle) is kept apart. `CannotExpress` has the reason why a library cannot run a program.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.bugs.catalogue import Bug
from benchmarks.bugs.thread_program import ThreadProgram
from benchmarks.peers.asyncio_bugs import PROGRAMS, AsyncProgram

HANG_SECONDS = 3.0  # real, after which a run that does not go on is given up
PIECES = (10, 40, 150, 300)  # schedules of interleave-test between looks at the time
SLOTS_LEAST, SLOTS_OF_WORKER = 300, 60  # of frontrun's random schedules: 300 is its default, too few for 100 workers


class CannotExpress(Exception):
    """The library has no way to run such a program; the message says why."""


@dataclass(frozen=True, slots=True)
class Hunt:
    """The result of one exploration."""

    schedules: int  # up to and including the failing one
    found: bool
    is_sure: bool = True  # else a run did not end, and the library cannot tell why
    exhausted: bool = False  # it has nothing left to try
    how: str = ""  # the failure, in the library's words

    def as_json(self) -> dict[str, object]:
        """For the parent process."""
        return asdict(self)


Hunter = Callable[[Bug, int, int, float], Hunt]  # bug, schedules at most, seed, seconds left


def _line(said: object) -> str:
    """The first line of an explanation."""
    lines = str(said).strip().splitlines() or [type(said).__name__]
    return lines[0][:100]


def detrun(strategy: str, in_asyncio: bool = False) -> Hunter:
    """`detrun.explore`, of tasks in trio or in asyncio."""

    def hunt(bug: Bug, schedules: int, seed: int, seconds: float) -> Hunt:
        import detrun

        threads = bug.kind != "tasks"
        if in_asyncio and threads:
            raise CannotExpress("the column is of tasks in asyncio")
        exploration = detrun.explore(
            PROGRAMS[bug.name] if in_asyncio else bug.main,
            backend="asyncio" if in_asyncio else "auto",
            strategy=strategy,
            schedules=schedules,
            seed=seed,
            preemption="opcode" if threads else "sync",
            include=[str(bug.file)] if threads else [],
            directory=None,
            shrink=False,
            explain=False,
            time_limit=seconds,
        )
        failure = exploration.failure
        return Hunt(
            exploration.schedules,
            failure is not None,
            exhausted=exploration.verdict == "holds",
            how="" if failure is None else _line(failure.exception),
        )

    return hunt


def frontrun(strategy: str) -> Hunter:
    """`frontrun.explore`."""

    def hunt(bug: Bug, schedules: int, seed: int, seconds: float) -> Hunt:
        import frontrun

        if bug.kind == "tasks and threads":
            raise CannotExpress("explores threads or asyncio tasks, not both in one program")
        program = bug.buggy if bug.kind == "threads" else PROGRAMS[bug.name]
        if not isinstance(program, ThreadProgram | AsyncProgram):
            raise CannotExpress("cancels a task; its workers are fixed tasks that end by themselves")

        executions = 0

        def setup() -> Any:
            nonlocal executions
            executions += 1
            return program.setup()

        def holds(state: Any) -> bool:
            program.check(state)
            return True

        limits: dict[str, Any] = {"timeout_per_run": HANG_SECONDS, "deadlock_timeout": HANG_SECONDS}
        if strategy == "random":
            limits |= {"max_attempts": schedules, "seed": seed}
            limits |= {"max_ops": max(SLOTS_LEAST, SLOTS_OF_WORKER * len(program.workers))}
            if bug.kind == "threads":
                limits |= {"reproduce_on_failure": 0}
        else:
            limits |= {"max_executions": schedules, "reproduce_on_failure": 0}
        began = time.monotonic()
        try:
            result = frontrun.explore(
                setup=setup,
                workers=list(program.workers),
                invariant=holds,
                strategy=strategy,  # type: ignore[arg-type]  # one of its words
                total_timeout=max(seconds, 0.1),
                **limits,
            )
            if asyncio.iscoroutine(result):
                result = asyncio.run(result)
        except bug.expected as error:  # dpor lets through what a worker raises
            return Hunt(executions, found=True, how=_line(error))
        held = result.property_holds
        in_time = time.monotonic() - began < seconds
        return Hunt(
            result.num_explored,
            found=held is False or (held is None and in_time),
            is_sure=held is not None,
            exhausted=strategy == "dpor" and held is True and in_time and result.num_explored < schedules,
            how=_line(result.inconclusive_reason or result.explanation or ""),
        )

    return hunt


def interleave_test(strategy: str) -> Hunter:
    """`interleave_test.explore`."""

    def hunt(bug: Bug, schedules: int, seed: int, seconds: float) -> Hunt:
        import interleave_test

        if bug.kind != "threads":
            raise CannotExpress("knows no tasks")
        # It takes no time limit, so the exploration is cut into pieces with seeds of their own.
        deadline, done, piece = time.monotonic() + seconds, 0, 0
        while done < schedules and time.monotonic() < deadline:
            result = interleave_test.explore(
                bug.main,
                iterations=min(PIECES[min(piece, len(PIECES) - 1)], schedules - done),
                seed=seed * 1_000 + piece,
                strategy=strategy,
                include=[str(bug.file)],
                timeout=seconds,
                raise_on_failure=False,
            )
            done, piece = done + result.schedules_run, piece + 1
            if result.failure is not None:
                kind = result.failure.kind
                return Hunt(done, True, is_sure=kind != "hang", how=_line(f"{kind} {result.failure.exception or ''}"))
        return Hunt(done, found=False)

    return hunt


def detangle(strategy: str) -> Hunter:
    """`detangle.explore`."""

    def hunt(bug: Bug, schedules: int, seed: int, seconds: float) -> Hunt:
        import detangle

        if bug.kind != "tasks":
            raise CannotExpress("simulates threads as whole steps of the event loop: they do not interleave")
        try:
            stats = detangle.explore(
                PROGRAMS[bug.name],
                runs=schedules,
                strategy=strategy,
                seed=seed,
                max_duration=max(seconds, 0.1),
                database=False,
                shrink=False,
            )
        except detangle.BugFound as found:
            return Hunt(found.report.runs, found=True, how=_line(found.report.failure.message))
        return Hunt(stats.runs, found=False, exhausted=stats.exhausted)

    return hunt


@dataclass(frozen=True, slots=True)
class Tool:
    """One column of the table."""

    name: str
    package: str
    hunt: Hunter
    has_seed: bool = True


TOOLS = (
    Tool("detrun random", "detrun", detrun("random")),
    Tool("detrun portfolio", "detrun", detrun("portfolio")),
    Tool("detrun asyncio, random", "detrun", detrun("random", in_asyncio=True)),
    Tool("detrun asyncio, portfolio", "detrun", detrun("portfolio", in_asyncio=True)),
    Tool("frontrun random", "frontrun", frontrun("random")),
    Tool("frontrun dpor", "frontrun", frontrun("dpor"), has_seed=False),
    Tool("interleave-test random", "interleave-test", interleave_test("random")),
    Tool("detangle random", "detangle", detangle("random")),
    Tool("detangle auto", "detangle", detangle("auto")),
)
BY_NAME = {one.name: one for one in TOOLS}
