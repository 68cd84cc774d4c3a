"""The watchdog: ends a run of which one step takes too long in real time, and says what waits.

Simulated threads share one real thread, so a call that waits in C (`select` on a real pipe, a real lock) keeps all of
them waiting, for ever if it waits for one of them. No step limit and no virtual time can tell.

The rule: a step that has waited for ``step_timeout`` seconds is ended, one that has computed for `BUSY` times as long,
too. The run fails with a `StalledError`, and a `GreenletExit` is raised in the code that waits, again and again until
the step has ended, so that the program is unwound.

It costs nothing per step and some tenths of a microsecond per run. A POSIX timer sends ``SIGURG`` to the main thread
every quarter of the time-out while runs go on; the handler looks whether steps were taken. A signal to the process
could go to any thread, and a main thread that waits would not hear of it. Signals interrupt what waits in C: Python
looks after its handlers there (PEP 475), and an exception that they raise ends the call. ``SIGURG`` is ignored by
default, so a stray one harms nothing (Go's runtime interrupts its threads by it for this reason), and a timer of this
kind, unlike a thread, is not inherited by forks and does not make Python warn of them.

Limits: Linux only. Other systems lack these timers, or clocks of a thread: there no step is ended. The handler is
installed by the first run that begins in the main thread, if ``SIGURG`` is free. A run in another thread is ended when
that thread runs Python code; what waits in C there is reported on the standard error stream, since it cannot be
interrupted.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # as in `trio_host.interrupts`
import ctypes
import os
import sys
import time
from _thread import get_ident, get_native_id
from time import monotonic
from types import FrameType
from typing import Any

from greenlet import GreenletExit, getcurrent

from detrun_scheduler.reports.stalls import stalled
from detrun_scheduler.threads.simulated_thread import SimulatedThread
from detrun_scheduler.trio_host.host import Host
from detrun_scheduler.user_code import is_within

# As they are before a run replaces them; macOS and Windows lack the first.
_cpu_clock_of: Any = getattr(time, "pthread_getcpuclockid", None)
_time_on: Any = getattr(time, "clock_gettime", None)

STEP_TIMEOUT = 60.0  # real seconds
BUSY = 10  # a step that computes may take so many times as long
UNWINDING_SECONDS = 1.0  # that cleaning up may wait at one place, once a step was ended
_LOOKS = 4  # how often the watchdog looks in a time-out
_BUSY_SHARE = 0.1  # of the processor, from which a step counts as computing: on a loaded machine it gets little
_SHORTEST = 0.02  # seconds between two looks


class _Event(ctypes.Structure):
    """``struct sigevent`` of Linux: 64 bytes, of which a signal to a thread needs the first 20."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("rest", ctypes.c_int * 11),
    )


class _Interval(ctypes.Structure):
    """``struct itimerspec``: every so often, and when first."""

    _fields_ = (
        ("every_seconds", ctypes.c_long),
        ("every_nanoseconds", ctypes.c_long),
        ("first_seconds", ctypes.c_long),
        ("first_nanoseconds", ctypes.c_long),
    )


class _Timer:
    """A timer that sends ``SIGURG`` to one thread; made when it is first set."""

    _MONOTONIC = 1  # the number of the clock
    _TO_THREAD = 4  # SIGEV_THREAD_ID

    def __init__(self) -> None:
        self.handle: Any = None
        self.thread = -1  # the system's number of the main thread
        self.library: Any = None
        self.period = 0.0

    def set(self, seconds: float) -> bool:
        """Let it fire every so many seconds, never if 0; False where the system has no such timers."""
        if seconds == self.period:
            return True
        if self.handle is None:
            try:
                self.library = ctypes.CDLL(None)
                create = self.library.timer_create
            except (OSError, AttributeError):
                return False
            handle = ctypes.c_void_p()
            event = _Event(signo=_signal.SIGURG, notify=self._TO_THREAD, thread=self.thread)
            if create(self._MONOTONIC, ctypes.byref(event), ctypes.byref(handle)):
                return False
            self.handle = handle
        whole, rest = int(seconds), int(seconds % 1 * 1e9)
        self.library.timer_settime(self.handle, 0, ctypes.byref(_Interval(whole, rest, whole, rest)), None)
        self.period = seconds
        return True

    def forget(self) -> None:
        """In a forked child, which has no timers and another main thread."""
        self.handle, self.period, self.thread = None, 0.0, get_native_id()


class Watchdog:
    """Watches the runs of this process, of which there is one at a time."""

    def __init__(self) -> None:
        self.timer = _Timer()
        self.is_installed: bool | None = None  # None: not tried yet
        self.run: Any = None  # the one that is watched; the loop sets it to None when that is over
        self.seconds = STEP_TIMEOUT
        self.seen: Any = None  # how far the run was when looked at last
        self.since = self.busy_since = 0.0  # when it had come there, in seconds of the monotonic and of the CPU's clock
        self.idle_looks = 0
        self.is_told = False  # what cannot be interrupted has been reported

    def begin(self, run: Any, seconds: float) -> None:
        """Watch a run; the time-out is in real seconds."""
        if self.is_installed is not True and not self._install():
            return
        self.seconds, self.seen, self.is_told = seconds, None, False
        period = max(seconds / _LOOKS, _SHORTEST)
        if self.timer.period != period and not self.timer.set(period):
            self.is_installed = False
            return
        self.run = run

    def _install(self) -> bool:
        if self.is_installed is None and hasattr(_signal, "SIGURG") and _cpu_clock_of is not None:
            free = _signal.getsignal(_signal.SIGURG) in (_signal.SIG_DFL, _signal.SIG_IGN)
            try:
                if free:
                    _signal.signal(_signal.SIGURG, self._look)
                    self.timer.thread = get_native_id()
                self.is_installed = free
            except ValueError:
                return False  # not the main thread: a later run may be in it
        return bool(self.is_installed)

    def _look(self, _: int, frame: FrameType | None) -> None:
        """The handler of the signal: called in the main thread, between two bytecodes or inside a call that waits."""
        run = self.run
        if run is None or run.threads is None:
            self.idle_looks += 1
            if self.idle_looks > 2 * _LOOKS:
                self.timer.set(0)
            return
        self.idle_looks = 0
        elsewhere = run.threads.os_thread != get_ident()
        here = (id(run.journal), run.journal.steps, 0 if elsewhere else id(getcurrent()))
        now, busy = monotonic(), _time_on(_cpu_clock_of(run.threads.os_thread))
        if here != self.seen:
            self.seen, self.since, self.busy_since = here, now, busy
            return
        elapsed = now - self.since
        is_busy = busy - self.busy_since > elapsed * _BUSY_SHARE
        limit = self.seconds if run.failure is None else min(self.seconds, UNWINDING_SECONDS)
        if elapsed < limit * (BUSY if is_busy else 1):
            return
        if elsewhere:
            self._end_elsewhere(run, elapsed, is_busy)
        elif _is_in_step(frame):
            run.fail(stalled(run, frame, elapsed, is_busy))
            self.timer.set(max(min(self.seconds, UNWINDING_SECONDS) / _LOOKS, _SHORTEST))
            raise GreenletExit

    def _end_elsewhere(self, run: Any, elapsed: float, is_busy: bool) -> None:
        frame = sys._current_frames().get(run.threads.os_thread)
        error = stalled(run, frame, elapsed, is_busy)
        run.fail(error)
        if not self.is_told:
            self.is_told = True
            print(f"detrun: {error}", file=sys.__stderr__, flush=True)
        if _is_in_step(frame):
            # Takes effect when that thread runs Python code again, and at every look until the step has ended.
            thread = ctypes.c_ulong(run.threads.os_thread)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(GreenletExit))


def _is_in_step(frame: FrameType | None) -> bool:
    """Whether the program's code is running in this frame, in a task or a simulated thread, and no strategy or loop."""
    return is_within(frame, _STEPPING)


_STEPPING = (Host.step.__code__, SimulatedThread.run.__code__)


WATCHDOG = Watchdog()
os.register_at_fork(after_in_child=WATCHDOG.timer.forget)
