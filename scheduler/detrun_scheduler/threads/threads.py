"""Simulated threads: greenlets that the run loop steps like tasks.

A simulated thread is a trio task whose coroutine is a greenlet. Where a coroutine awaits, a thread switches to the
loop's greenlet (the hub) with one of trio's own traps: the checkpoint trap at a schedule point, the wait trap to block
until somebody reschedules the task. So the loop, the recorder, replay, strategies and deadlock reports treat threads
and tasks alike, one schedule covers both, and a switch costs no more than a task's. Greenlets survive ``fork``.

The rules: a thread gives way only at a schedule point; nothing here depends on addresses or real idents (idents are 1
for whatever runs on the event loop's thread, then 2, 3, … in the order of starting); a new thread has an empty
context, as in life. The program ends when main and every non-daemon thread have ended; then daemon threads are killed
by ``GreenletExit``. This file knows scheduling only; what ``threading`` becomes on top is in `threading_names`.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from functools import partial
from types import CodeType, CoroutineType, FrameType, FunctionType, TracebackType
from typing import Any

import outcome
from greenlet import GreenletExit, getcurrent, greenlet
from trio import CancelScope
from trio.lowlevel import Abort, disable_ki_protection

from detrun_scheduler import current
from detrun_scheduler.errors import UsageError
from detrun_scheduler.journal import OPERATIONS
from detrun_scheduler.run import ActiveRun, ThreadFailure
from detrun_scheduler.threads import kept_greenlets
from detrun_scheduler.threads.kept_greenlets import OVER
from detrun_scheduler.trio_host.private import (
    CHECKPOINT_TRAP,
    CONTEXT,
    DETACH_TRAP,
    WAIT_TRAP,
    go_on_by,
    is_blocked,
)

MAIN_IDENT = 1  # of the main thread: that of the event loop, and of a synchronous main function


class SimulatedThread(greenlet):
    """One simulated thread: a greenlet that looks like a coroutine to trio.

    The body is ``function(*arguments)``. trio resumes it by ``send``, which is the greenlet's ``switch`` itself, so
    that stepping a thread runs no Python code of ours.
    """

    # What trio and reports expect of a coroutine.
    send = greenlet.switch
    cr_await = None

    @property
    def cr_running(self) -> bool:
        """Whether it is the one that runs now."""
        return getcurrent() is self

    def begin(
        self,
        threads: Threads,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        name: str,
        ident: int,
        daemon: bool = False,
        creator: int = -1,
        is_worker: bool = False,
    ) -> None:
        """Become this thread: a new greenlet, or one that rests."""
        self.has_begun = self.has_ended = False
        self.may_rest = False  # whether its greenlet can serve another thread in a later run
        self.threads: Threads = threads
        self.give_way: Callable[..., Any] = threads.hub.switch
        if threads.untraced is not None:
            self.give_way = partial(threads.untraced, self.give_way)
        self.function = function
        self.arguments = arguments
        self.__name__ = self.__qualname__ = name
        self.ident = ident
        self.daemon = daemon
        self.is_worker = is_worker
        self.creator = creator  # number of the task that started it, -1 for a main function
        self.task: Any = None  # set by the loop when trio has made it
        self.deadline: Any = None  # of the timer that a waiting thread has set
        self.waits_for: Any = None  # what a blocked thread waits for, for reports: an object with `blocking_report`
        self.dying = False
        self.locals: dict[int, Any] = {}  # of `threading.local`, by id of the local
        self.joiners: list[SimulatedThread] = []
        self.at_end: Callable[[], object] = _nothing
        self.number = -1  # as an object of the run
        self.owner: Any = None  # what it has inherited from the code that started it

    def run(self, _: object = None) -> Any:
        """The greenlet's whole life, from its first switch; returns the trap that tells trio of the thread's end.

        A coroutine would raise ``StopIteration``; but an exception in the loop's greenlet makes Python 3.11 call the
        trace function there if any greenlet is traced, and go on doing so.
        """
        while True:
            self.has_begun = True
            CONTEXT.__dict__.pop("task", None)
            threads = self.threads
            ended: Any = _ENDED
            try:
                if not self.dying:
                    if threads.call_body is None:
                        result = self.function(*self.arguments)
                    else:
                        result = threads.call_body(self.function, self.arguments)
                    if self.ident == MAIN_IDENT:
                        ended = DETACH_TRAP(outcome.Value(result))
            except GreenletExit:
                pass
            except BaseException as error:
                ended = DETACH_TRAP(outcome.Error(error.with_traceback(_without_first(error.__traceback__))))
            self.ended()
            if not self.may_rest or self.dying or not kept_greenlets.is_keeping():
                return ended
            threads.rested.append(self)
            # Nothing of this life may outlive it in the locals here.
            hub, trap = threads.hub, ended
            del threads, ended
            result = None
            hub.switch(trap)  # comes back in another run, as another thread
            del hub, trap

    def ended(self) -> None:
        """The body is over: wake who joins it, and let go of everything, since trio keeps tasks a little longer."""
        threads = self.threads
        self.locals.clear()
        self.at_end()
        if self.ident != MAIN_IDENT and not self.dying:
            self.note(_END)
        threads.ended(self)
        for joiner in self.joiners:
            joiner.wake()
        self.joiners.clear()
        self.function, self.arguments, self.at_end = _nothing, (), _nothing
        self.waits_for = self.task = None
        self.has_ended = True

    def throw(self, error: Any = GreenletExit, *rest: Any) -> Any:
        """Resume the thread with an exception; as a coroutine's, it comes back with the next trap."""
        if not self.has_begun:
            # Not started: there is no code to raise it in. (A main function may meet a KeyboardInterrupt here.)
            self.dying = True
            if not isinstance(error, GreenletExit) and error is not GreenletExit:
                self.function, self.arguments = _raiser, (error,)
                self.dying = False
            return self.switch(None)
        return super().throw(error, *rest)

    def close(self) -> None:
        """End the thread now.

        Raises:
            RuntimeError: it has blocked once more instead, and is alive.
        """
        if self.has_ended:
            return
        self.dying = True
        self.throw(GreenletExit())
        if not self.has_ended:
            raise RuntimeError("a simulated thread ignored GreenletExit")

    def __await__(self) -> Any:
        raise TypeError("a simulated thread cannot be awaited")

    @property
    def cr_frame(self) -> FrameType | None:
        """The innermost frame; one of ours before the start, since trio takes None for a coroutine written in C."""
        return None if self.has_ended else (self.gr_frame or sys._getframe())

    @property
    def cr_suspended(self) -> bool:
        """Whether it has begun and not ended."""
        return self.has_begun and not self.has_ended

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.task is None

    def note(self, operation: int) -> None:
        """Write down an operation on the thread itself; what its end and a join have in common."""
        run = self.threads.run
        if self.number < 0:
            self.number = run.register("Thread", f"thread {self.__name__} (ident {self.ident})")
        run.operation(self.number, operation, 0.0)

    def frames(self) -> list[FrameType]:
        """Its frames while it is suspended, outermost first."""
        found: list[FrameType] = []
        if not self.has_begun or self.has_ended:
            return found
        frame = self.gr_frame
        while frame is not None:
            found.append(frame)
            frame = frame.f_back
        return found[::-1]

    def blocking_report(self) -> tuple[str, tuple[int, ...]]:
        """What reports say of a thread that joins this one, and the tasks that it needs."""
        if self.task is None:
            return "Thread.join", ()
        return "Thread.join, until the end of", (self.threads.run.host.numbers[self.task],)

    # Called from within the thread itself.

    def schedule_point(self) -> None:
        """Let the scheduler choose who goes on."""
        if not self.dying:
            self.give_way(CHECKPOINT_TRAP)
            del CONTEXT.task

    def wait(self, kind: WaitKind, waits_for: Any = None, deadline: Any = None) -> bool:
        """Block until `wake`, or until the virtual time ``deadline``; whether it was `wake`.

        Raises:
            GreenletExit: the thread is being killed.
        """
        if self.dying:
            raise GreenletExit
        self.waits_for = waits_for
        self.deadline = deadline
        if deadline is not None:
            self.threads.run.timers.add(deadline, self.task)
        try:
            message = self.give_way(kind.main if self.ident == MAIN_IDENT else kind.other)
            message.unwrap()
            return deadline is None or self.deadline is None
        finally:
            CONTEXT.__dict__.pop("task", None)
            self.waits_for = None
            self._disarm()

    # Called from anywhere in the run.

    def wake(self) -> None:
        """Make the thread runnable if it is blocked."""
        task = self.task
        if task is not None and is_blocked(task):
            self._disarm()
            self.threads.run.host.reschedule(task)

    def _disarm(self) -> None:
        if self.deadline is not None:
            self.threads.run.timers.remove(self.deadline, self.task)
            self.deadline = None

    def abandoned(self) -> None:
        """Nobody will resume the thread, and none of its code runs again: it is as if it had ended."""
        self._disarm()
        self.dying = True
        self.threads.living.remove(self)
        self.waits_for = self.task = None
        self.at_end()
        for joiner in self.joiners:
            joiner.wake()
        self.joiners.clear()
        self.at_end = _nothing

    def kill(self) -> None:
        """Let the thread end by ``GreenletExit`` when it is stepped next."""
        task = self.task
        if self.dying or task is None:
            return
        self.dying = True
        if is_blocked(task):
            self.wake()
        if self.has_begun:
            go_on_by(task, self.throw, GreenletExit())


def _primal(value: Any) -> float:
    return getattr(value, "primal", value)  # type: ignore[no-any-return]


_ENDED = DETACH_TRAP(outcome.Value(None))


def _without_first(trace: TracebackType | None) -> TracebackType | None:
    return trace.tb_next if trace is not None else None


def _nothing() -> None:
    """The body of a thread that has ended."""


def _raiser(error: BaseException) -> None:
    raise error


@disable_ki_protection
def _call_main(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """The body of the main simulated thread."""
    result = function(*arguments)
    if type(result) is CoroutineType:
        result.close()
        raise UsageError(
            f"{getattr(function, '__qualname__', function)} is no async function but returned a coroutine, "
            "which nobody would run; pass the async function itself, or a functools.partial of it"
        )
    return result


class WaitKind:
    """A way to block, by name; what it looks like to the loop and to trio.

    A thread cannot be cancelled: the abort function fails, but for the main thread's when Ctrl-C is what came.
    """

    __slots__ = ("main", "other")

    def __init__(self, name: str) -> None:
        # The host tells kinds apart by the code of the abort function and names them by its qualified name.
        self.main = WAIT_TRAP(_renamed(_abort_on_interrupt, name))
        self.other = WAIT_TRAP(_renamed(_refuse_abort, name))


def _renamed(function: Callable[..., Abort], name: str) -> Callable[..., Abort]:
    code: CodeType = function.__code__.replace(co_name=name)
    renamed = FunctionType(code, globals(), name)
    renamed.__qualname__ = name
    return renamed


def _refuse_abort(raise_cancel: object) -> Abort:
    return Abort.FAILED


def _abort_on_interrupt(raise_cancel: object) -> Abort:
    return Abort.SUCCEEDED if current.run is not None and current.run.host.ki_pending else Abort.FAILED


_END = OPERATIONS.index("release")
SLEEP = WaitKind("time.sleep")
JOIN = WaitKind("Thread.join")


class Threads:
    """The simulated threads of one run."""

    __slots__ = (
        "at_end",
        "at_main_end",
        "call_body",
        "futures",
        "hooks",
        "hub",
        "idents",
        "inherited",
        "known",
        "living",
        "main_has_ended",
        "os_thread",
        "rested",
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
        self.living: list[SimulatedThread] = []  # in the order of starting
        self.inherited: ContextVar[Any] | None = None  # the one variable that a thread takes over from who starts it
        self.known: list[Any] = []  # weak references to the `threading.Thread` of each thread that may rest
        self.rested: list[SimulatedThread] = []  # those whose greenlets can serve later runs
        self.touched: list[Any] = []  # dual objects used in this run, which are reset at its end
        self.main_has_ended = False
        self.at_main_end: Callable[[Threads], None] = _nothing_to_stop
        self.hooks: tuple[Any, Any] = (None, None)  # threading.excepthook and sys.unraisablehook before the run
        self.at_end: list[Callable[[], object]] = []  # called when the run is over
        # Preemption on Python 3.11: how to call the function of a thread, and how to call anything else in it.
        self.call_body: Callable[[Callable[..., Any], tuple[Any, ...]], Any] | None = None
        self.untraced: Callable[..., Any] | None = None

    def _new(self, *life: Any) -> SimulatedThread:
        thread = kept_greenlets.take(self.hub)
        if thread is None:
            thread = SimulatedThread(None, self.hub)
        else:
            thread.gr_context = None
        thread.begin(self, *life)
        return thread

    def main(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Callable[..., Any]:
        """What trio may take for an async function, and is ``function(*arguments)`` in the main simulated thread."""

        def make() -> SimulatedThread:
            thread = self._new(_call_main, (function, arguments), "main", MAIN_IDENT)
            thread.may_rest = True
            thread.gr_context = copy_context()
            self.living.append(thread)
            return thread

        return make

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
        self.idents += 1
        run = self.run
        thread = self._new(function, arguments, name, self.idents, daemon, run.current, is_worker)
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
        run.thread_failures.append(ThreadFailure(run.path_of(run.current), error, is_handled))
        run.observe("uncaught exception of a thread", type(error).__qualname__.encode())
        return is_handled or not run.reports_thread_errors

    def ended(self, thread: SimulatedThread) -> None:
        """A thread is over."""
        self.living.remove(thread)
        if self.main_has_ended and not thread.daemon:
            self._kill_daemons()

    def main_ended(self) -> None:
        """The main task or main thread is over."""
        self.main_has_ended = True
        self.at_main_end(self)
        self._kill_daemons()

    def inherit(self, variable: ContextVar[Any] | None) -> None:
        """Let a new thread take this one variable over from the code that starts it; None: nothing."""
        self.inherited = variable

    def _kill_daemons(self) -> None:
        if all(one.daemon for one in self.living):
            for one in self.living:
                one.kill()

    def kill_workers(self) -> bool:
        """Nothing can run: end the worker threads of trio that outlive main and wait for ever; whether there were any.

        In life they are daemons, but which of them are abandoned and which are still awaited only trio knows.
        """
        if not self.main_has_ended or not all(one.is_worker or one.daemon for one in self.living):
            return False
        for one in self.living:
            one.kill()
        return bool(self.living)

    def kill_all(self) -> None:
        """The run has failed: end every thread."""
        for one in self.living:
            one.kill()

    def close(self) -> None:
        """The run is over: put back what it left in objects that outlive it."""
        for one in self.touched:
            one.end_of_run()
        self.touched.clear()
        for callback in reversed(self.at_end):
            callback()
        self.at_end.clear()
        self.living.clear()
        if self.rested:
            for thread in filter(None, (known() for known in self.known)):
                thread._simulated = OVER
                if hasattr(thread, "_handle"):
                    thread._handle.simulated = OVER
            kept_greenlets.keep(self.rested)
        self.known.clear()
        del self.run, self.hub


def _nothing_to_stop(threads: Threads) -> None:
    """Main functions without executors."""


def thread_of_call() -> SimulatedThread | None:
    """The simulated thread that is calling, None for a task or outside a run."""
    found = getcurrent()
    return found if type(found) is SimulatedThread else None


def threads_of_call() -> Threads | None:
    """The threads of the active run if the caller belongs to it, as a simulated thread or as a task."""
    found = getcurrent()
    if type(found) is SimulatedThread:
        return found.threads
    run = current.run
    if run is None or run.threads is None or run.threads.os_thread != get_ident():
        return None
    return run.threads  # type: ignore[return-value]  # a run has no other


def is_of_the_run() -> bool:
    """Whether the caller belongs to the active run."""
    return threads_of_call() is not None


def wait_in_task(run: ActiveRun, ready: Callable[[], bool], waits_for: Any, deadline: Any = None) -> None:
    """Block the running task, and with it the event loop, until ``ready()`` or the virtual time ``deadline``.

    Only threads run meanwhile, as in life.
    """
    if deadline is None:
        run.stand_still(ready, waits_for)
        return
    timer = CancelScope()  # a key whose firing does nothing but to let the loop look
    run.timers.add(deadline, timer)
    try:
        run.stand_still(lambda: ready() or run.time >= _primal(deadline), waits_for)
    finally:
        run.timers.remove(deadline, timer)


def schedule_point() -> None:
    """A schedule point if a simulated thread is calling; nothing elsewhere."""
    found = getcurrent()
    if type(found) is SimulatedThread:
        found.schedule_point()


def sleep(thread: SimulatedThread, seconds: Any) -> None:
    """Block the calling thread for so many virtual seconds; a schedule point even for 0."""
    if _primal(seconds) == 0:
        thread.schedule_point()
        return
    deadline = thread.threads.run.virtual_clock.now + seconds
    thread.wait(SLEEP, None, deadline)
