"""`EventLoop`: one thing after the other, for scripts, parser, events and rendering share the page.

A round is a frame, if one is due, or the oldest task; background tasks come last. After each the microtasks run, those
that they queue included, until none is left. What computes says how long (`compute`), and the loop is busy for as long.

A frame is due at the first tick of the display after something has changed. It is missed if it is not ready one tick
later.

Source: WHATWG, HTML standard, 8.1.7.3 (processing model); the choice among task queues is left to browsers there.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

import trio

from detrun_scenarios.browser.invariants import Monitor
from detrun_scenarios.frame.news import News
from detrun_scenarios.frame.plain import plain

TICK_SECONDS = 1 / 60
TASK_SECONDS = 1e-4
MICROTASK_SECONDS = 2e-5
PAID_TOGETHER = 16  # microtasks, whose time passes at once

Step: TypeAlias = Callable[[], Awaitable[None] | None]


class Source(StrEnum):
    """Where tasks come from; each source has a queue."""

    PARSER = "parser"
    NETWORK = "network"
    TIMER = "timer"
    USER = "user"
    BACKGROUND = "background"


class Frame(NamedTuple):
    """One frame: when it was due, begun and ready."""

    due: float
    began: Any
    ready: Any


class EventLoop:
    """See the module.

    Args:
        phase: of the display's ticks, in seconds after a whole one.

    Attributes:
        frames: that were made.
        busy: what was done when: a kind, from, to; for pictures.
    """

    def __init__(self, monitor: Monitor, phase: float) -> None:
        self._monitor = monitor
        self._phase = phase
        self._queues: dict[Source, deque[tuple[int, Step]]] = {source: deque() for source in Source}
        self._queued = 0
        self._microtasks: deque[Callable[[], None]] = deque()
        self._news = News()
        self._owed: Any = 0.0
        self._due: float | None = None
        self._is_wanted = False
        self._render: Callable[[], Awaitable[None]] | None = None
        self._may_render: Callable[[], bool] = lambda: False
        self.frames: list[Frame] = []
        self.busy: list[tuple[str, Any, Any]] = []

    def queue(self, source: Source, step: Step) -> None:
        """Queue a task."""
        self._queued += 1
        self._queues[source].append((self._queued, step))
        self._news.tell()

    def queue_microtask(self, step: Callable[[], None]) -> None:
        """Queue a microtask; it runs before the next task."""
        self._microtasks.append(step)

    def compute(self, seconds: Any) -> None:
        """The step that runs takes so much longer."""
        self._owed = self._owed + seconds

    def request_frame(self) -> None:
        """Something has changed that is to be seen."""
        if self._due is None:
            self._is_wanted = True
            self._set_due()
            self._news.tell()

    def show(self, render: Callable[[], Awaitable[None]], may_render: Callable[[], bool]) -> None:
        """Another page is shown; what was to be seen of the one before is not painted any more.

        Args:
            render: makes a frame of it.
            may_render: whether it has anything to paint yet.
        """
        self._render, self._may_render = render, may_render
        self._due, self._is_wanted = None, False

    async def run(self) -> None:
        """Go round for ever."""
        while True:
            self._set_due()
            if self._due is not None and trio.current_time() >= self._due:
                await self._frame()
            elif (found := self._next()) is not None:
                source, step = found
                await self._task(source, step)
            else:
                with trio.move_on_at(math.inf if self._due is None else self._due):
                    await self._news.wait()

    async def checkpoint(self) -> None:
        """Run microtasks until none is left."""
        count = 0
        while self._microtasks:
            self._microtasks.popleft()()
            self.compute(MICROTASK_SECONDS)
            count += 1
            if count % PAID_TOGETHER == 0:
                await self.pay()
                self._monitor.checkpoint_has_run(count)
        self._monitor.checkpoint_has_run(count)
        await self.pay()

    async def pay(self) -> None:
        """Let the time pass that was computed for."""
        owed, self._owed = self._owed, 0.0
        if plain(owed) > 0.0:
            await trio.sleep(owed)

    def _set_due(self) -> None:
        """The next tick, if a frame is wanted and can be made."""
        if self._is_wanted and self._may_render():
            self._is_wanted = False
            now = plain(trio.current_time())
            self._due = self._phase + TICK_SECONDS * math.ceil((now - self._phase) / TICK_SECONDS)

    def _next(self) -> tuple[Source, Step] | None:
        waiting = [source for source in Source if self._queues[source]]
        if not waiting:
            return None
        source = min(waiting, key=lambda one: (one is Source.BACKGROUND, self._queues[one][0][0]))
        return source, self._queues[source].popleft()[1]

    async def _task(self, source: Source, step: Step) -> None:
        self._monitor.task_begins(len(self._microtasks))
        began = trio.current_time()
        self.compute(TASK_SECONDS)
        pending = step()
        if pending is not None:
            await pending
        await self.pay()
        await self.checkpoint()
        self.busy.append((source.value, began, trio.current_time()))

    async def _frame(self) -> None:
        assert self._render is not None
        assert self._due is not None
        due, self._due = self._due, None
        began = trio.current_time()
        await self._render()
        await self.pay()
        self.frames.append(Frame(due, began, trio.current_time()))
        self.busy.append(("frame", began, trio.current_time()))
