"""What a process does about signals: handlers, timers, and what is blocked; methods have the names in ``signal``.

A handler runs in the main thread of the process, between two of its steps (`detrun.world.nodes.signals`). Timers are of
virtual time.
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable, Iterable
from typing import Any

from greenlet import getcurrent

from detrun.world.network.posix import os_error
from detrun.world.nodes.signals import QueuedHandler, SignalsOfProcess, as_signal, signals_of
from detrun_scheduler.environment.hidden_state import refuse
from detrun_scheduler.threads.simulated_thread import SimulatedThread

_NO_WAKEUP = (
    "signals of a simulated process wake its threads by themselves; use signal.signal or loop.add_signal_handler"
)


class SignalHandlers:
    """Calls of `signal` about the calling process.

    Attributes:
        process: the one that calls.
    """

    process: Any

    @property
    def _signals(self) -> SignalsOfProcess:
        return signals_of(self.process)

    def signal(self, signalnum: int, handler: Any) -> Any:
        """As `signal.signal`.

        Raises:
            ValueError: in another thread than the main one, or the signal is not valid.
            OSError: EINVAL, SIGKILL and SIGSTOP cannot be handled.
            TypeError: the handler cannot be called, and is neither SIG_DFL nor SIG_IGN.
        """
        process, signals = self.process, self._signals
        if process.main_thread not in (None, getcurrent()) and type(getcurrent()) is SimulatedThread:
            raise ValueError("signal only works in main thread of the main interpreter")
        if signalnum not in signal.valid_signals():
            raise ValueError("signal number out of range")
        if signalnum in (signal.SIGKILL, signal.SIGSTOP):
            raise os_error(errno.EINVAL)
        if not callable(handler) and handler not in (signal.SIG_DFL, signal.SIG_IGN):
            raise TypeError("signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object")
        before = self.getsignal(signalnum)
        signals.handlers[signalnum] = signal.Handlers(handler) if isinstance(handler, int) else handler
        return before

    def add_queued_handler(self, number: int, push: Callable[[], object]) -> None:
        """Have ``push()`` called when a signal comes: it queues the handler in an event loop."""
        if number in (signal.SIGKILL, signal.SIGSTOP):
            raise RuntimeError(f"sig {number} cannot be caught")
        self._signals.handlers[number] = QueuedHandler(push)

    def remove_queued_handler(self, number: int) -> None:
        """Do by default again what the signal does."""
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        self._signals.handlers[number] = default

    def getsignal(self, signalnum: int) -> Any:
        """As `signal.getsignal`."""
        found = self._signals.handlers.get(signalnum, signal.SIG_DFL)
        return None if isinstance(found, QueuedHandler) else found

    def alarm(self, seconds: int, /) -> int:
        """As `signal.alarm`, in virtual time."""
        left, _ = self._signals.set_alarm(int(seconds))
        return -int(-left // 1)

    def setitimer(self, which: int, seconds: Any, interval: Any = 0.0, /) -> tuple[float, float]:
        """As `signal.setitimer` of real time, in virtual time.

        Raises:
            HiddenStateError: the timer counts the time of processors, which a run does not have.
        """
        if which != signal.ITIMER_REAL:
            refuse("signal.setitimer of a processor's time", "computing takes no time in a run; use ITIMER_REAL")
        return self._signals.set_alarm(seconds, interval)

    def getitimer(self, which: int, /) -> tuple[float, float]:
        """As `signal.getitimer`."""
        return self._signals.alarm_left() if which == signal.ITIMER_REAL else (0.0, 0.0)

    def pause(self) -> None:
        """As `signal.pause`, in the main thread."""
        thread: Any = getcurrent()
        if thread is not self.process.main_thread:
            refuse("signal.pause", "only the main thread of a simulated process is interrupted; wait for an event")
        thread.interruption.pause()

    def pthread_sigmask(self, how: int, mask: Iterable[int]) -> set[Any]:
        """As `signal.pthread_sigmask`, of the whole process."""
        signals, chosen = self._signals, set(mask)
        before = {as_signal(number) for number in signals.blocked}
        if how == signal.SIG_BLOCK:
            signals.blocked |= chosen
        elif how == signal.SIG_UNBLOCK:
            signals.blocked -= chosen
        else:
            signals.blocked = chosen
        signals.unblocked()
        return before

    def siginterrupt(self, signalnum: int, flag: bool, /) -> None:
        """As `signal.siginterrupt`: Python's functions go on after a handler either way."""

    def set_wakeup_fd(self, fd: int, /, *, warn_on_full_buffer: bool = True) -> int:
        """Only -1, which takes it away.

        Raises:
            HiddenStateError: signals would be written to a descriptor.
        """
        if fd != -1:
            refuse("signal.set_wakeup_fd", _NO_WAKEUP)
        return -1


def check_signal(number: int) -> None:
    """That a number can be sent: a signal, or 0, which only asks whether the process is there.

    Raises:
        OSError: EINVAL.
    """
    if number not in (0, *signal.valid_signals()):
        raise os_error(errno.EINVAL)
