"""Signals of one process: handlers, what is pending, and timers in virtual time.

A handler of Python's is called in the process's main thread, where that comes to its next schedule point; a thread that
waits there is interrupted, calls it, and waits on (PEP 475), unless the handler raises. A handler of an event loop is
queued in the loop. A process whose programs are tasks of trio's has no main thread; its handlers are called in a thread
of their own. Without a handler a signal does what signal(7) says: it ends the process, stops it, or does nothing.

Source: signal(7), PEP 475.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, NamedTuple

from greenlet import GreenletExit

from detrun.world.network.waiters import Waiters
from detrun_scheduler.clock import primal_of
from detrun_scheduler.threads.simulated_thread import SimulatedThread, WaitKind
from detrun_scheduler.trio_host.private import CHECKPOINT_TRAP, CONTEXT, is_blocked

_IGNORED = frozenset((signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT))
_STOPPING = frozenset((signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU))
_PAUSE = WaitKind("signal.pause")


class Sender(NamedTuple):
    """Where a signal comes from, as ``sigwaitinfo`` says it.

    Attributes:
        code: how it was sent: by ``kill``, unless another is given.
        pid: of the process that has sent it or, for SIGCHLD, of the child; 0 where that is none of the machine's.
        status: of the child.
    """

    code: int = 0  # SI_USER
    pid: int = 0
    status: int = 0


OPERATOR = Sender()
KERNEL = Sender(code=0x80)  # SI_KERNEL


class QueuedHandler:
    """A handler that an event loop of asyncio's calls.

    Args:
        push: queues it in the loop.
    """

    def __init__(self, push: Callable[[], object]) -> None:
        self.push = push


class SignalWait:
    """A thread that waits for one of several signals.

    Attributes:
        came: the signal that has come and its sender, if one has.
        changes: woken then.
    """

    def __init__(self, numbers: frozenset[int]) -> None:
        self.numbers = numbers
        self.came: tuple[int, Sender] | None = None
        self.changes = Waiters()

    def take(self, number: int, sender: Sender) -> bool:
        """Whether it has waited for this signal, which it has now."""
        if self.came is not None or number not in self.numbers:
            return False
        self.came = number, sender
        self.changes.wake()
        return True


class SignalsOfProcess:
    """The signals of one process.

    Attributes:
        handlers: what the program has set, by number.
        blocked: numbers of signals that wait until they are unblocked.
        waiting: those of them that have come, and from where.
        waits: threads that wait for signals.
    """

    def __init__(self, process: Any) -> None:
        self.process = process
        self.handlers: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGPIPE: signal.SIG_IGN}
        self.blocked: set[int] = set()
        self.waiting: dict[int, Sender] = {}
        self.waits: list[SignalWait] = []
        self._pending: list[int] = []  # handlers of which are due in the main thread
        self._thread: Any = None
        self._interruption: Interruption | None = None
        self._alarm: Alarm | None = None

    def interrupt_in(self, thread: Any) -> None:
        """Call handlers in ``thread``, the main thread, from now on."""
        self._thread = self.process.main_thread = thread
        self._interruption = thread.interruption = Interruption(thread, self)
        thread.give_way = self._interruption.give_way

    def deliver(self, number: int, sender: Sender = OPERATOR) -> None:
        """A signal has come."""
        process = self.process
        if not process.is_running:
            return
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            if any(one.take(number, sender) for one in self.waits):
                return
            if number in self.blocked:
                self.waiting.setdefault(number, sender)
                return
        if number == signal.SIGCONT and process.is_paused:
            process.resume()
        handler = self.handlers.get(number, signal.SIG_DFL)
        if handler is signal.SIG_IGN and number not in (signal.SIGKILL, signal.SIGSTOP):
            return
        if handler is signal.SIG_DFL or number in (signal.SIGKILL, signal.SIGSTOP):
            self._do_default(number)
        elif isinstance(handler, QueuedHandler):
            handler.push()
        elif self._thread is None or self._thread.is_over:
            self._call_in_thread(number, handler)
        else:
            self._pending.append(number)
            assert self._interruption is not None
            self._interruption.begin()

    def _do_default(self, number: int) -> None:
        process = self.process
        if number in _STOPPING:
            process.pause()
        elif number not in _IGNORED:
            process.die(number)

    def _call_in_thread(self, number: int, handler: Any) -> None:
        threads: Any = self.process.services.run.threads
        name = f"handler of {name_of(number)}"
        self.process.context.copy().run(threads.start, handler, (number, None), name)

    def call_handlers(self) -> bool:
        """Call what is due, in the main thread; whether that was anything."""
        called = False
        while self._pending:
            number = self._pending.pop(0)
            handler = self.handlers.get(number, signal.SIG_DFL)
            if callable(handler):
                called = True
                handler(number, None)
        return called

    def unblocked(self) -> None:
        """Signals may have been unblocked: deliver those that waited."""
        waiting, self.waiting = self.waiting, {}
        for number, sender in waiting.items():
            self.deliver(number, sender)

    # Timers.

    def set_alarm(self, seconds: Any, interval: Any = 0.0) -> tuple[float, float]:
        """Have SIGALRM come in ``seconds``, and then every ``interval``; 0 for never. What was left of the last."""
        before, self._alarm = self._alarm, None
        left = (0.0, 0.0)
        if before is not None:
            left = before.left()
            before.cancel()
        if primal_of(seconds) > 0:
            self._alarm = Alarm(self, seconds, interval)
        return left

    def alarm_left(self) -> tuple[float, float]:
        """Seconds until the alarm, and the interval."""
        return (0.0, 0.0) if self._alarm is None else self._alarm.left()

    def rang(self, alarm: Alarm) -> None:
        """The alarm is due."""
        self._alarm = None
        if alarm.interval:
            self._alarm = Alarm(self, alarm.interval, alarm.interval)
        self.deliver(signal.SIGALRM, KERNEL)

    def end(self) -> None:
        """The process is over."""
        self._pending.clear()
        self.handlers.clear()  # which may know the main thread: a cycle of garbage
        if self._interruption is not None:
            self._interruption.end()
        self._thread = self._interruption = None  # they know the process: a cycle of garbage
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None


def as_signal(number: int) -> int:
    """As functions of `signal` return a number: a `signal.Signals`, or the int where it has no name.

    Of the real-time signals only the first and the last have one.
    """
    try:
        return signal.Signals(number)
    except ValueError:
        return int(number)


def name_of(number: int) -> str:
    """Of a signal, or its number."""
    found = as_signal(number)
    return found.name if isinstance(found, signal.Signals) else str(found)


def signals_of(process: Any) -> SignalsOfProcess:
    """The signals of a process, from the first use on."""
    if process.signals is None:
        process.signals = SignalsOfProcess(process)
        if process.main_thread is not None:
            process.signals.interrupt_in(process.main_thread)
    found: SignalsOfProcess = process.signals
    return found


class Alarm:
    """A timer of the run that sends SIGALRM."""

    def __init__(self, signals: SignalsOfProcess, seconds: Any, interval: Any) -> None:
        self._signals = signals
        self._run = signals.process.services.run
        self.interval = interval
        self._deadline = self._run.virtual_clock.now + seconds
        self._run.timers.add(self._deadline, self)

    def left(self) -> tuple[float, float]:
        """Seconds until it rings, and the interval."""
        return float(primal_of(self._deadline) - self._run.time), float(primal_of(self.interval))

    def fire(self) -> None:
        """It is due."""
        self._signals.rang(self)

    def cancel(self) -> None:
        """It does not ring."""
        if self in self._run.timers.live:
            self._run.timers.remove(self._deadline, self)


class Interruption:
    """How the main thread of a process is interrupted: it stands where the thread gives way.

    Args:
        thread: the main thread.
        signals: of the process.
    """

    def __init__(self, thread: SimulatedThread, signals: SignalsOfProcess) -> None:
        self._thread: Any = thread
        self._signals = signals
        self._plain = thread.give_way
        self._is_interrupted = False  # woken for a signal
        self._was_woken = False  # for what it waits for, meanwhile
        self._ends_wait = False  # it waits for any signal
        self._is_handling = False

    def end(self) -> None:
        """The process is over: nothing is interrupted any more. The thread knows this object: a cycle of garbage."""
        self._is_interrupted, self._thread = False, None

    def begin(self) -> None:
        """A handler is due: let the thread come and call it, if it waits."""
        thread = self._thread
        task = thread.task
        if task is None or self._is_interrupted or thread.cr_running or not is_blocked(task):
            return
        run = thread.threads.run
        if thread.deadline is not None:
            run.timers.remove(thread.deadline, task)
        self._is_interrupted, self._was_woken = True, False
        run.host.reschedule(task)

    def takes_wake(self) -> bool:
        """What the thread waits for has come; whether it has been woken for a signal already, and looks afterwards."""
        if not self._is_interrupted or (self._is_handling and not self._thread.cr_running and self._is_blocked()):
            return False  # in the latter case a handler waits
        self._was_woken = True
        return True

    def _is_blocked(self) -> bool:
        task = self._thread.task
        return task is not None and is_blocked(task)

    def give_way(self, trap: Any) -> Any:
        """Let the loop go on; call handlers on coming back, and wait on after that."""
        if self._is_handling:
            return self._plain(trap)
        while True:
            message = self._plain(trap)
            if not self._signals._pending:
                self._is_interrupted = False
                return message
            thread = self._thread
            if thread.dying:
                raise GreenletExit
            was_interrupted = self._is_interrupted
            try:
                self._call(thread)
            finally:
                self._is_interrupted = False  # also where the handler raises
            if not was_interrupted or trap is CHECKPOINT_TRAP:
                return message
            if self._was_woken or self._ends_wait:
                thread.deadline = None
                return message
            if thread.deadline is not None:
                run = thread.threads.run
                if primal_of(run.virtual_clock.now) >= primal_of(thread.deadline):
                    return message
                run.timers.add(thread.deadline, thread.task)

    def _call(self, thread: SimulatedThread) -> None:
        # A handler may come to schedule points and wait in the midst of what the thread does there.
        waits_for, deadline, task = thread.waits_for, thread.deadline, CONTEXT.task
        thread.waits_for = thread.deadline = None
        self._is_handling = True
        del CONTEXT.task
        try:
            self._signals.call_handlers()
        finally:
            self._is_handling = False
            if not thread.dying:
                thread.waits_for, thread.deadline, CONTEXT.task = waits_for, deadline, task

    def pause(self) -> None:
        """Wait until a handler has been called."""
        self._ends_wait = True
        try:
            self._thread.wait(_PAUSE, self)
        finally:
            self._ends_wait = False

    def blocking_report(self) -> tuple[str, tuple[int, ...]]:
        """What reports say of the thread that waits in ``signal.pause``."""
        return "signal.pause: no signal comes", ()
