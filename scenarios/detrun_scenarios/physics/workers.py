"""`Workers`: tasks that share the parts of a phase, as the threads of a job system do.

A phase is a number of parts that may be done in any order, and at once. Tasks claim one part after the other from a
counter. The task that begins a phase helps with it, and then waits for the parts that others have claimed. A worker can
be pre-empted between a claim and the work, and wherever the work has a checkpoint.

The counters are plain numbers: a task that reads and changes one without a checkpoint does so at once. What phases
work on is shared in cells of detrun.

Source: the solver stages of Box2D 3 (Catto, 2023), whose main thread is one of the workers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import trio

Work: TypeAlias = Callable[[int], Awaitable[None]]


class Phase:
    """Parts 0 to ``count - 1`` of some work."""

    __slots__ = ("_done", "_left", "_next", "_work", "count")

    def __init__(self, work: Work, count: int) -> None:
        self.count = count
        self._work = work
        self._next = 0
        self._left = count
        self._done = trio.Event()
        if not count:
            self._done.set()

    async def help(self) -> None:
        """Claim parts and do them until all are claimed; those of others may not be done then."""
        while self._next < self.count:
            number = self._next
            self._next += 1
            await trio.lowlevel.checkpoint()
            await self._work(number)
            self._left -= 1
            if not self._left:
                self._done.set()

    async def finished(self) -> None:
        """Return when all parts are done."""
        await self._done.wait()


class Workers:
    """The tasks and the phase that they work at; made by `working`."""

    def __init__(self) -> None:
        self._phase: Phase | None = None
        self._news = trio.Event()

    def begin(self, work: Work, count: int) -> Phase:
        """Let the workers begin a phase. The caller helps, and waits for its end."""
        phase = self._phase = Phase(work, count)
        if count > 1:  # a single part is for the caller
            self._news.set()
            self._news = trio.Event()
        return phase

    async def each(self, work: Work, count: int) -> None:
        """Do all parts of some work."""
        phase = self.begin(work, count)
        await phase.help()
        await phase.finished()

    async def serve(self) -> None:
        """Help with every phase."""
        while True:
            phase, news = self._phase, self._news
            if phase is not None:
                await phase.help()
            if self._news is news:
                await news.wait()


@asynccontextmanager
async def working(count: int) -> AsyncIterator[Workers]:
    """Workers, of which there are ``count`` beside the task that begins phases."""
    workers = Workers()
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(workers.serve, name="worker")
        yield workers
        nursery.cancel_scope.cancel()
