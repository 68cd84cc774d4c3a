"""Interruptions of a run from outside its tasks: Ctrl-C, and the jobs of `TrioToken.run_sync_soon`."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what `signal` wraps; the standard library has no stubs for it
import threading
from _thread import get_ident  # not `threading.get_ident`, which tells simulated threads apart inside a run
from collections.abc import Callable
from types import FrameType
from typing import Protocol

import trio

from detrun_scheduler.errors import HiddenStateError
from detrun_scheduler.trio_host.private import is_ki_protected


class Interruptible(Protocol):
    """What Ctrl-C tells the host."""

    ki_arrived: bool


class EntryTaskOwner(Protocol):
    """What waking the entry-queue task asks of the host."""

    closing: bool
    entry_task: trio.lowlevel.Task | None

    def start_entry_task(self) -> None:
        """Spawn the task that runs the jobs."""

    def reschedule(self, task: trio.lowlevel.Task) -> None:
        """Make a blocked task runnable."""


class InterruptHandler:
    """trio's handling of Ctrl-C for the length of a run, which tells the loop, too, whatever task gets the exception.

    Goes to the C functions below the module `signal`, whose wrappers spend a tenth of a small run on making enums.
    """

    __slots__ = ("handler", "host")

    def __init__(self, host: Interruptible) -> None:
        self.host = host
        self.handler: Callable[[int, FrameType | None], None] | None = None

    def install(self, deliver: Callable[[], object], restrict_to_checkpoints: bool) -> None:
        """Handle SIGINT, unless this is not the main thread or the program handles it."""
        if _signal.getsignal(_signal.SIGINT) is not _signal.default_int_handler or get_ident() != (
            threading.main_thread().ident
        ):
            return
        host = self.host

        def handler(signum: int, frame: FrameType | None) -> None:
            host.ki_arrived = True
            if restrict_to_checkpoints or is_ki_protected(frame):
                deliver()
            else:
                raise KeyboardInterrupt

        _signal.signal(_signal.SIGINT, handler)
        self.handler = handler

    def close(self) -> None:
        """Put back Python's handler, unless the program has set its own meanwhile."""
        if self.handler is not None:
            if _signal.getsignal(_signal.SIGINT) is self.handler:
                _signal.signal(_signal.SIGINT, _signal.default_int_handler)
            self.handler = None


class InProcessWakeup:
    """Wakes the entry-queue task without a socket; that task is spawned by the first wake-up.

    Only the run's own thread may use it: a call from another thread would enter the run at a moment that no recording
    could repeat.
    """

    __slots__ = ("host", "parked", "thread", "woken")

    def __init__(self, host: EntryTaskOwner) -> None:
        self.host = host
        self.begin()

    def begin(self) -> None:
        """Serve a run of this thread from here on."""
        self.parked = False
        self.woken = False
        self.thread = get_ident()

    def wakeup_thread_and_signal_safe(self) -> None:
        """Called by trio after it has queued a job."""
        if get_ident() != self.thread:
            raise HiddenStateError(
                "TrioToken.run_sync_soon was called from another operating-system thread: real threads are not "
                "deterministic; run that code as a task of the program instead"
            )
        host = self.host
        if host.closing:
            return  # the generators among the queued jobs are closed at the end
        if host.entry_task is None:
            host.start_entry_task()
        elif self.parked:
            self.parked = False
            host.reschedule(host.entry_task)
        else:
            self.woken = True

    async def wait_woken(self) -> None:
        """Called by the entry-queue task when it has nothing to do."""
        if self.woken:
            self.woken = False
            await trio.lowlevel.checkpoint()
            return

        def unpark(_: object) -> trio.lowlevel.Abort:
            self.parked = False
            return trio.lowlevel.Abort.SUCCEEDED

        self.parked = True
        await trio.lowlevel.wait_task_rescheduled(unpark)

    def wakeup_on_signals(self) -> None:
        """Signals set a flag that the loop looks at; see `Host.deliver_ki`."""

    def close(self) -> None:
        """Called by trio at the end; holds nothing that would have to be closed."""
