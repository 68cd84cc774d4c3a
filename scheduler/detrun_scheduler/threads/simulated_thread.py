"""One simulated thread: a greenlet that the run loop steps like a task.

To trio it is a task whose coroutine is the greenlet. Where a coroutine awaits, a thread switches to the loop's greenlet
(the hub) with one of trio's own traps: the checkpoint trap at a schedule point, the wait trap to block until the task
is rescheduled. So the loop, the recorder, replay, strategies and deadlock reports treat threads and tasks alike, one
schedule covers both, and a switch costs no more than a task's. Greenlets survive ``fork``.

The rule: a thread gives way only at a schedule point.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sized
from functools import partial
from types import CodeType, FrameType, FunctionType, TracebackType
from typing import Any, Protocol

import outcome
from greenlet import GreenletExit, getcurrent, greenlet
from trio.lowlevel import Abort

from detrun_scheduler import current
from detrun_scheduler.journal import OPERATIONS
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.trio_host.private import (
    CHECKPOINT_TRAP,
    CONTEXT,
    DETACH_TRAP,
    WAIT_TRAP,
    go_on_by,
    is_blocked,
)

MAIN_IDENT = 1  # of the main thread: that of the event loop, and of a synchronous main function


class ThreadsOfRun(Protocol):
    """The threads of a run, as far as each of them needs the others; `Threads` in life."""

    run: ActiveRun
    hub: greenlet  # the loop's
    living: list[SimulatedThread]
    give_way: Callable[[Any], Any]
    attended: Sized
    at_end: list[Callable[[], object]]  # called when the run is over
    # How to call the function of a thread, and how to call anything else in it; None: plainly.
    call_body: Callable[[Callable[..., Any], tuple[Any, ...]], Any] | None
    untraced: Callable[..., Any] | None

    def ended(self, thread: SimulatedThread) -> None:
        """A thread is over."""

    def keeps(self, thread: SimulatedThread) -> bool:
        """Whether the greenlet of a thread that has ended is to wait for another thread's life."""


class SimulatedThread(greenlet):
    """One simulated thread: a greenlet that looks like a coroutine to trio.

    The body is ``function(*arguments)``. trio resumes it by ``send``, which is the greenlet's ``switch`` itself, so
    that stepping a thread runs no Python code of ours.
    """

    __slots__ = (
        *("__name__", "__qualname__", "arguments", "at_end", "creator", "daemon", "deadline", "dying", "function"),
        *("give_way", "has_begun", "has_ended", "ident", "interruption", "is_reusable", "is_worker", "joiners"),
        *("locals", "number", "owner", "task", "threads", "waits_for"),
    )

    # What trio and reports expect of a coroutine.
    send = greenlet.switch
    cr_await = None

    event_loop: Any = None  # of asyncio, which runs in it now
    ends_alone = True  # no nursery, scope or lock of trio's ends with it

    @property
    def cr_running(self) -> bool:
        """Whether it is the one that runs now."""
        return getcurrent() is self

    def begin(
        self,
        threads: ThreadsOfRun,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        name: str,
        ident: int,
        daemon: bool = False,
        creator: int = -1,
        is_worker: bool = False,
    ) -> None:
        """Become this thread: a new greenlet, or a kept one."""
        self.has_begun = self.has_ended = False
        self.is_reusable = False  # whether its greenlet can serve another thread in a later run
        self.threads: ThreadsOfRun = threads
        self.give_way: Callable[..., Any] = threads.give_way
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
        self.interruption: Any = None  # takes wake-ups that come while the thread handles a signal

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
            if not self.is_reusable or self.dying or not threads.keeps(self):
                return ended
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
        elif self.dying and not self.is_worker:  # those of pools end so when there is nothing more to do
            threads.run.journal.ended(threads.run.current, None)
        threads.ended(self)
        for joiner in self.joiners:
            joiner.wake()
        self.joiners.clear()
        self.function, self.arguments, self.at_end = _nothing, (), _nothing
        self.waits_for = self.task = self.interruption = None
        self.give_way = _nothing  # it may be a method of the interruption: a cycle of garbage
        self.has_ended = True

    def throw(self, error: Any = GreenletExit, *rest: Any) -> Any:
        """Resume the thread with an exception; as a coroutine's, it comes back with the next trap."""
        if not self.has_begun:
            # Not started: no code runs yet to raise it in. (A main function may meet a KeyboardInterrupt here.)
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
        """The innermost frame; one of ours before the start, since trio takes None for a coroutine written in C.

        That one has no callers: where a thread stands must not depend on who asks.
        """
        if self.has_ended:
            return None
        return self.gr_frame or (sys._getframe() if self.has_begun else NO_FRAME)

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
        if self.interruption is not None and self.interruption.takes_wake():
            return
        if task is not None and is_blocked(task):
            self._disarm()
            self.threads.run.host.reschedule(task)

    def _disarm(self) -> None:
        if self.deadline is not None:
            self.threads.run.timers.remove(self.deadline, self.task)
            self.deadline = None

    def abandoned(self) -> None:
        """The thread is never resumed, and none of its code runs again: it is as if it had ended."""
        self._disarm()
        self.dying = True
        self.threads.living.remove(self)
        self.task = None
        self.stalled()
        self.waits_for = self.event_loop = None
        self.at_end()
        for joiner in self.joiners:
            joiner.wake()
        self.joiners.clear()
        self.at_end = _nothing
        self.threads.at_end.append(self._let_go)

    def _let_go(self) -> None:
        """The run is over: what the thread was to do and what it has may know the thread, a cycle of garbage."""
        self.function, self.arguments = _nothing, ()
        self.locals.clear()

    def stalled(self) -> None:
        """The thread does not go on for now: what it was woken for goes to others that wait for the same."""
        if hasattr(self.waits_for, "lost"):
            self.waits_for.lost(self)

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


def _before_the_start() -> Iterator[None]:
    yield


_BEFORE_THE_START: Any = _before_the_start()
NO_FRAME: FrameType = _BEFORE_THE_START.gi_frame  # for trio, which takes None for a coroutine written in C
_ENDED = DETACH_TRAP(outcome.Value(None))
_END = OPERATIONS.index("release")


def _without_first(trace: TracebackType | None) -> TracebackType | None:
    return trace.tb_next if trace is not None else None


def _nothing() -> None:
    """The body of a thread that has ended."""


def _raiser(error: BaseException) -> None:
    raise error


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
