"""`Workers`: tasks that share the parts of a phase, as the threads of a job system do.

A phase is a number of parts that may be done in any order, and at once. Tasks claim one part after the other. The task
that begins a phase helps with it, and then waits for the parts that others have claimed. A worker can be pre-empted
between a claim and the work, and wherever the work has a checkpoint; what phases work on is shared in cells of detrun.

Source: the solver stages of Box2D 3 (Catto, 2023), whose main thread is one of the workers.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import trio

Work: TypeAlias = Callable[[int], Awaitable[None]]


class Phase:
    """Parts 0 to ``count - 1`` of some work."""

    __slots__ = ("_done", "_ends", "_parts", "_work")

    def __init__(self, work: Work, count: int) -> None:
        self._work = work
        self._parts = iter(range(count))  # all who help take from it
        self._ends = iter(range(count - 1))  # and from this at the end of a part, until the last finds it empty
        self._done = trio.Event()
        if not count:
            self._done.set()

    async def help(self) -> None:
        """Claim parts and do them until all are claimed; those of others may not be done then."""
        for part in self._parts:
            await trio.lowlevel.checkpoint()
            await self._work(part)
            if next(self._ends, None) is None:
                self._done.set()

    async def finished(self) -> None:
        """Return when all parts are done."""
        await self._done.wait()


class Workers:
    """The tasks, by the channel through which they get phases; made by `working`."""

    def __init__(self, count: int, phases: trio.MemorySendChannel[Phase]) -> None:
        self.count = count
        self._phases = phases

    def begin(self, work: Work, count: int) -> Phase:
        """Let the workers begin a phase. The caller helps, and waits for its end."""
        phase = Phase(work, count)
        for _ in range(min(self.count, count - 1)):  # one part is for the caller
            self._phases.send_nowait(phase)
        return phase

    async def each(self, work: Work, count: int) -> None:
        """Do all parts of some work."""
        phase = self.begin(work, count)
        await phase.help()
        await phase.finished()


@asynccontextmanager
async def working(count: int) -> AsyncIterator[Workers]:
    """Workers, of which there are ``count`` beside the task that begins phases."""
    sender, receiver = trio.open_memory_channel[Phase](math.inf)

    async def worker() -> None:
        async for phase in receiver:
            await phase.help()

    async with trio.open_nursery() as nursery, sender:
        for _ in range(count):
            nursery.start_soon(worker)
        yield Workers(count, sender)
