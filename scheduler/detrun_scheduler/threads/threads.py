"""The simulated threads of one run: starting them, counting them, and ending them with the program.

The rules:

- Nothing here depends on addresses or real idents. Idents are 1 for what runs on the event loop's thread, then 2, 3, …
  in the order of starting.
- A new thread has an empty context, as in life.
- The program ends when its main function and every non-daemon thread have ended. Then daemon threads are killed by
  ``GreenletExit``.

This file knows scheduling only; `patched_threading` says what ``threading`` becomes on top of it.
"""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable, Sized
from contextvars import Context, ContextVar, copy_context
from itertools import count
from types import CoroutineType
from typing import Any

from greenlet import getcurrent
from trio.lowlevel import disable_ki_protection

from detrun_scheduler.errors import UsageError
from detrun_scheduler.run import ActiveRun, ThreadFailure
from detrun_scheduler.threads import kept_greenlets
from detrun_scheduler.threads.kept_greenlets import OVER
from detrun_scheduler.threads.simulated_thread import MAIN_IDENT, SimulatedThread


class Threads:
    """The simulated threads of one run."""

    __slots__ = (
        "are_in_place",
        "at_end",
        "at_unwound",
        "at_first_start",
        "at_main_end",
        "at_standstill",
        "attended",
        "call_body",
        "futures",
        "give_way",
        "hooks",
        "hub",
        "idents",
        "idle",
        "inherited",
        "is_collecting",
        "known",
        "living",
        "main_has_ended",
        "os_thread",
        "pools",
        "run",
        "touched",
        "untraced",
    )

    def __init__(self, run: ActiveRun) -> None:
        self.run = run
        self.hub = getcurrent()
        self.os_thread = get_ident()  # whose calls belong to the run
        self.idents = MAIN_IDENT
        self.futures = 0  # made in this run
        self.pools = count()  # numbers of those made in this run
        self.living: list[SimulatedThread] = []  # in the order of starting
        self.inherited: ContextVar[Any] | None = None  # the one variable that a thread takes over from who starts it
        self.known: list[Any] = []  # weak references to the `threading.Thread` of each reusable thread
        self.idle: list[SimulatedThread] = []  # ended threads whose greenlets can serve later runs
        self.touched: list[Any] = []  # dual objects used in this run, which are reset at its end
        self.main_has_ended = False
        self.are_in_place = False  # whether names are replaced for them (`patched_threading`)
        self.at_first_start: Callable[[Threads], None] = _nothing
        self.at_main_end: Callable[[Threads], None] = _nothing
        self.at_standstill: list[Callable[[], bool]] = []  # of what main has left; whether it lets anything go on
        self.hooks: tuple[Any, Any] = (None, None)  # threading.excepthook and sys.unraisablehook before the run
        self.at_unwound: list[Callable[[], object]] = []  # called when all tasks have ended
        self.at_end: list[Callable[[], object]] = []  # called when the run is over
        # Preemption on Python 3.11: how to call the function of a thread, and how to call anything else in it.
        self.call_body: Callable[[Callable[..., Any], tuple[Any, ...]], Any] | None = None
        self.untraced: Callable[..., Any] | None = None
        self.give_way: Callable[[Any], Any] = self.hub.switch  # how a thread lets the loop go on
        self.is_collecting = False  # the next thread to go on collects garbage there
        # Lets a preempted thread give way where it is alone, too: the timers, in runs in which they may fire early.
        self.attended: Sized = ()

    def _new(self) -> SimulatedThread:
        """A new greenlet, or a kept one; `begin` makes it a thread of this run."""
        thread = kept_greenlets.take(self.hub)
        if thread is None:
            return SimulatedThread(None, self.hub)
        thread.gr_context = None
        return thread

    def main(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> MainThread:
        """What trio may take for an async function, and is ``function(*arguments)`` in the main simulated thread."""
        return MainThread(self, function, arguments)

    def begin_main(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> SimulatedThread:
        """The main thread begins."""
        thread = self._new()
        thread.begin(self, _call_main, (function, arguments), "main", MAIN_IDENT)
        thread.is_reusable = True
        thread.gr_context = copy_context()
        self.living.append(thread)
        return thread

    def start(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        name: str,
        *,
        daemon: bool = False,
        is_worker: bool = False,
    ) -> SimulatedThread:
        """Begin a thread; it runs when it is chosen.

        Args:
            daemon: kill it when main and all others have ended.
            is_worker: kill it when main has ended and nothing can run.
        """
        if self.idents == MAIN_IDENT:
            self.at_first_start(self)
        self.idents += 1
        run = self.run
        if self.idents == MAIN_IDENT + 1 and run.asyncio is not None:
            run.asyncio.thread_begins()
        thread = self._new()
        thread.begin(self, function, arguments, name, self.idents, daemon, run.current, is_worker)
        if self.inherited is not None:
            thread.owner = self.inherited.get(None)
            thread.gr_context = Context()
            thread.gr_context.run(self.inherited.set, thread.owner)
        run.host.spawn_thread(thread, name)
        self.living.append(thread)
        if self.main_has_ended and all(one.daemon for one in self.living):
            thread.kill()
        return thread

    def uncaught(self, error: BaseException, is_handled: bool) -> bool:
        """The running thread is about to end by ``error``; whether an exception hook shall be told."""
        run = self.run
        run.journal.ended(run.current, error)
        run.thread_failures.append(ThreadFailure(run.path_of(run.current), error, is_handled))
        run.observe("uncaught exception of a thread", type(error).__qualname__.encode())
        return is_handled or not run.reports_thread_errors

    def ended(self, thread: SimulatedThread) -> None:
        """A thread is over."""
        self.living.remove(thread)
        if self.main_has_ended and not thread.daemon:
            self._kill_daemons()

    def keeps(self, thread: SimulatedThread) -> bool:
        """Whether the greenlet of a thread that has ended is to wait for another thread's life, in a later run."""
        if not kept_greenlets.is_keeping():
            return False
        self.idle.append(thread)
        return True

    def main_ended(self) -> None:
        """The main task or main thread is over."""
        self.main_has_ended = True
        self.at_main_end(self)
        self._kill_daemons()

    def inherit(self, variable: ContextVar[Any] | None) -> None:
        """Let a new thread take this one variable over from the code that starts it; None: nothing."""
        self.inherited = variable

    def _kill_daemons(self) -> None:
        if self.living and all(one.daemon for one in self.living):
            for one in self.living:
                one.kill()

    def leave(self) -> bool:
        """Nothing can run, and perhaps main has ended: whether that lets anything go on.

        Worker threads of trio that outlive main and wait for ever end. In life they are daemons, but which of them are
        abandoned and which are still awaited only trio knows.
        """
        if not self.main_has_ended:
            return False
        if not all(one.is_worker or one.daemon for one in self.living):
            return any(leave() for leave in self.at_standstill)
        for one in self.living:
            one.kill()
        return bool(self.living)

    def kill_all(self) -> None:
        """The run has failed: end every thread."""
        for one in self.living:
            one.kill()

    def unwound(self) -> None:
        """All tasks have ended."""
        while self.at_unwound:
            self.at_unwound.pop()()

    def close(self) -> None:
        """The run is over: put back what it left in objects that outlive it."""
        if self.touched:
            for one in self.touched:
                one.end_of_run()
            self.touched.clear()
        if self.at_end:
            for callback in reversed(self.at_end):
                callback()
            self.at_end.clear()
        self.living.clear()
        if self.idle:
            for known in self.known:
                thread = known()
                if thread is None:
                    continue
                thread._simulated = OVER
                if hasattr(thread, "_handle"):
                    thread._handle.simulated = OVER
            kept_greenlets.keep(self.idle)
        self.known.clear()
        del self.run, self.hub, self.give_way
        self.attended = ()


class MainThread:
    """Makes the main thread of a run; what the host takes for the main task's async function."""

    __slots__ = ("arguments", "function", "threads")

    makes_thread = True

    def __init__(self, threads: Threads, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.threads = threads
        self.function = function
        self.arguments = arguments

    def __call__(self) -> SimulatedThread:
        """Make it."""
        return self.threads.begin_main(self.function, self.arguments)


def _nothing(threads: Threads) -> None:
    """Runs without executors."""


@disable_ki_protection
def _call_main(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """The body of the main simulated thread."""
    result = function(*arguments)
    if type(result) is CoroutineType:
        result.close()
        raise UsageError(
            f"{getattr(function, '__qualname__', function)} is an ordinary function but returned a coroutine, "
            "which would never run; pass the async function itself, or a functools.partial of it"
        )
    return result
