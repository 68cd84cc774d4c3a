"""`AsyncioMain`: the main thread of a program whose main function is asyncio's.

Such a thread makes an event loop, waits for the main task, and closes the loop. No code of the program's runs in it, so
it needs no stack. It takes two steps, each a call of a method, where a simulated thread would switch greenlets.

The main task may leave something: tasks, asynchronous generators or an executor that have to be closed, or an exception
that nothing has retrieved. Then the object becomes a simulated thread, in which asyncio's own runner closes what is
left.

Invariant: to the run it looks as a simulated thread does, with the same path, steps, waits and reports. Recordings are
equal byte for byte (`tests/scheduler/asyncio_host/test_main_thread.py`).

This module does not import asyncio, so that the run loop can know it.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import CO_COROUTINE
from types import FrameType, FunctionType
from typing import Any

import outcome
from greenlet import GreenletExit

from detrun_scheduler.asyncio_host.stackless import Stackless
from detrun_scheduler.threads.simulated_thread import MAIN_IDENT
from detrun_scheduler.threads.threads import Threads
from detrun_scheduler.trio_host.private import DETACH_TRAP, go_on_by, is_blocked


class MakesAsyncioMain:
    """Makes the main thread of a run; what the host takes for the main task's async function.

    Args:
        program: the module `program`, which imports asyncio.
    """

    __slots__ = ("arguments", "main", "program", "threads")

    makes_thread = True

    def __init__(self, threads: Threads, program: Any, main: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.threads = threads
        self.program = program
        self.main = main
        self.arguments = arguments

    def __call__(self) -> Any:
        """Make it: one that needs no stack, or a simulated thread where it may run more than what asyncio does."""
        threads, program = self.threads, self.program
        if needs_no_stack(threads, self.main) and program.is_plain():
            made = AsyncioMain(threads, program, self.main, self.arguments)
            threads.living.append(made)  # type: ignore[arg-type]  # looks like one
            return made
        return threads.begin_main(program.run_program, (self.main, self.arguments))


def needs_no_stack(threads: Threads, main: Callable[..., Any]) -> bool:
    """Whether no code of the program's runs where ``main`` is called, and the thread is not interrupted there."""
    return type(main) is FunctionType and bool(main.__code__.co_flags & CO_COROUTINE) and threads.run.preemption is None


class AsyncioMain(Stackless):
    """The main thread of one run. Looks like a coroutine to trio, and like a simulated thread to the run."""

    __slots__ = ("arguments", "dying", "event_loop", "main", "program", "task", "threads")

    # What trio and reports expect of a coroutine.
    __name__ = __qualname__ = "main"
    cr_running = False
    pending = "asyncio.run"

    # What is asked of a simulated thread.
    ident = MAIN_IDENT
    creator = -1
    daemon = is_worker = False
    owner = interruption = deadline = None

    def __init__(self, threads: Threads, program: Any, main: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.threads: Any = threads
        self.program = program
        self.main = main
        self.arguments = arguments
        self.has_begun = self.has_ended = self.dying = False
        self.task: Any = None  # set by the loop when trio has made it
        self.event_loop: Any = None  # while it runs

    def send(self, message: Any) -> Any:
        """Take one step."""
        loop = self.event_loop
        if loop is None:
            return self._begin(message)
        if type(message) is not outcome.Error and loop.is_stepping:
            return self.program.RUN_FOREVER.main
        try:
            ended: Any = self.program.outcome_of_main(loop, message)
            if loop.leaves_nothing:
                self.program.close(loop, self)
                return self._end(ended)
            return self._as_thread(self.program.end, (loop, [ended], self.dying))
        finally:
            message = ended = None  # their tracebacks lead to this frame: a cycle of garbage

    def _begin(self, message: Any) -> Any:
        main, arguments, program = self.main, self.arguments, self.program
        self.main, self.arguments = _nothing, ()
        self.has_begun = True
        if type(message) is outcome.Error:  # killed before it has begun
            return self._end(message)
        made = outcome.capture(main, *arguments)
        if type(made) is outcome.Error:
            return self._end(made)
        program.begin(made.unwrap(), self)
        return program.RUN_FOREVER.main

    def _end(self, ended: outcome.Outcome[Any]) -> Any:
        if self.dying:
            self.threads.run.journal.ended(self.threads.run.current, None)
        self.threads.ended(self)
        self.has_ended = True
        self.task = self.threads = None
        return DETACH_TRAP(outcome.Value(None) if _is_killed(ended) else ended)

    def _as_thread(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Go on as a simulated thread, which begins with ``function``."""
        threads, task = self.threads, self.task
        threads.living.remove(self)
        thread = threads.begin_main(function, arguments)
        thread.task, task.coro = task, thread
        self.has_ended = True
        self.task = self.threads = None
        return thread.send(None)

    def throw(self, error: Any = GreenletExit, *rest: Any) -> Any:
        """Take a step that begins with an exception."""
        message = outcome.Error(error() if isinstance(error, type) else error)
        del error
        try:
            return self.send(message)
        finally:
            del message

    def close(self) -> None:
        """End now."""
        if not self.has_ended:
            self.dying = True
            self.throw(GreenletExit())

    def wake(self) -> None:
        """Make it runnable if it is blocked."""
        task = self.task
        if task is not None and is_blocked(task):
            self.threads.run.host.reschedule(task)

    def kill(self) -> None:
        """Let it end by ``GreenletExit`` when it is stepped next."""
        if not self.dying and self.task is not None:
            self.dying = True
            self.wake()
            go_on_by(self.task, self.throw, GreenletExit())

    @property
    def waits_for(self) -> Any:
        """What has a `blocking_report`."""
        return self.event_loop

    def frames(self) -> list[FrameType]:
        """It has none."""
        return []


def _is_killed(ended: outcome.Outcome[Any]) -> bool:
    return type(ended) is outcome.Error and isinstance(ended.error, GreenletExit)


def _nothing() -> None:
    """What a thread that has begun is to begin with."""
