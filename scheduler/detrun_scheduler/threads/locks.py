"""Locks that are real outside a run and simulated inside: the type behind `threading.Lock`, and what all locks share.

The lock of a module is made when the module is imported, before any run, and has to work inside one. So as soon as
detrun is imported, these classes stand in the `threading` module for good (`reentrant_locks` puts them there). They
decide at each call. Outside a run, and in OS threads that have nothing to do with it, a `Lock` is the real lock that it
carries. Inside a run it keeps its state in that real lock, never blocks in it, and waits through the scheduler. If code
of the run took a lock and still holds it when the run ends, it is released, since its holder is gone.

Each operation of a simulated thread is a schedule point, before it takes effect. A release wakes threads that wait, and
the scheduler decides which gets the lock (`waiting_threads`).

`escaped_locks` is about locks made before detrun was imported. It replaces ``acquire`` and ``release`` of the real
type, so the old names of these methods are used here. What a lock costs outside a run is in ``docs/threads.md``.
"""

from __future__ import annotations

import sys
import threading
from _thread import allocate_lock as _allocate_lock
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from greenlet import getcurrent

from detrun_scheduler import current
from detrun_scheduler.journal import OPERATIONS
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.threads import waiting_threads
from detrun_scheduler.threads.calling import is_of_the_run, wait_in_task
from detrun_scheduler.threads.simulated_thread import SimulatedThread, WaitKind
from detrun_scheduler.threads.waiting_threads import WaitingThreads
from detrun_scheduler.user_code import is_library_file

ACQUIRE, RELEASE, WAIT, READ = (OPERATIONS.index(name) for name in ("acquire", "release", "wait", "read"))
LOCK_WAIT = WaitKind("Lock.acquire")


def check_timeout(blocking: bool, timeout: float) -> None:
    """The errors of the real ``acquire``."""
    if not blocking:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if timeout < 0:
        raise ValueError("timeout value must be a non-negative number")
    if timeout > threading.TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")


class Lock:
    """`threading.Lock` in both worlds."""

    __slots__ = ("__weakref__", "_number", "_owner", "_real", "_serial", "_waiters")

    points = True  # whether acquiring and releasing are schedule points
    wait_kind = LOCK_WAIT
    kind = "Lock"

    def __new__(cls, *_: Any) -> Lock:
        """A `LibraryLock` where a library makes it at its import; see `library_locks`."""
        return made(cls, sys._getframe(1)) if cls is Lock else object.__new__(cls)

    def __init__(self) -> None:
        self._real = _allocate_lock()
        self._serial = -1  # the run in which the next three were set
        self._number = -1
        self._owner = -1  # number of the task that holds it
        self._waiters: WaitingThreads = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As the real one; a time-out is virtual."""
        thread = getcurrent()
        if type(thread) is not SimulatedThread:
            run = current.run
            if run is None:
                return self._real.acquire_lock(blocking, timeout)
            return self._acquire_in_task(run, blocking, timeout)
        if timeout != -1:
            check_timeout(blocking, timeout)
        if self.points:
            thread.schedule_point()
        run = thread.threads.run
        deadline: Any = None
        while not self._real.acquire_lock(False):
            if not blocking or timeout == 0:
                self._note(run, READ)
                return False
            self._note(run, WAIT)
            if timeout > 0 and deadline is None:
                deadline = run.virtual_clock.now + timeout
            number = run.current
            waiting_threads.add(self._waiters, number, thread)
            woken = False
            try:
                woken = thread.wait(self.wait_kind, self, deadline)
            finally:
                if not woken and not waiting_threads.remove(self._waiters, number):
                    self.hand_on(run)  # killed after a release woke it
            if not woken:
                if self._real.acquire_lock(False):
                    break
                return False
        self._owner = self._note(run, ACQUIRE)
        return True

    def _acquire_in_task(self, run: ActiveRun, blocking: bool, timeout: float) -> bool:
        if not is_of_the_run():
            return self._real.acquire_lock(blocking, timeout)
        if timeout != -1:
            check_timeout(blocking, timeout)
        if not self._real.acquire_lock(False):
            self._note(run, WAIT if blocking else READ)
            if not blocking or timeout == 0:
                return False
            deadline = run.virtual_clock.now + timeout if timeout > 0 else None
            wait_in_task(run, lambda: not self._real.locked(), self, deadline)
            if not self._real.acquire_lock(False):
                return False
        self._owner = self._note(run, ACQUIRE)
        return True

    def _enter(self, run: ActiveRun) -> None:
        """The first use in this run."""
        self._serial, self._number = run.serial, run.register(self.kind)
        self._owner = -1
        self._waiters = []
        assert run.threads is not None
        run.threads.touched.append(self)

    def _note(self, run: ActiveRun, operation: int) -> int:
        """Write down an operation of the running task, and return the task's number."""
        if self._serial != run.serial:
            self._enter(run)
        if self.points:
            run.operation(self._number, operation, 0.0)
        return run.current

    def note_read(self, run: ActiveRun) -> None:
        """What the lock guards was looked at, without taking it."""
        self._note(run, READ)

    def release(self) -> None:
        """As the real one."""
        thread = getcurrent()
        if type(thread) is SimulatedThread:
            if self.points:
                thread.schedule_point()
            self.give_back(thread.threads.run)
        elif (run := current.run) is not None and is_of_the_run():
            self.give_back(run)
        else:
            self._real.release_lock()

    def give_back(self, run: ActiveRun) -> None:
        """Release, and wake who waits."""
        self._real.release_lock()
        self._note(run, RELEASE)
        self._owner = -1
        if self._waiters:
            waiting_threads.wake(self._waiters, run, run.object_labels[self._number])

    def hand_on(self, run: ActiveRun) -> None:
        """One that was woken will not look: wake others in its place."""
        if self._waiters and not self._real.locked():
            waiting_threads.wake(self._waiters, run, run.object_labels[self._number])

    def lost(self, thread: SimulatedThread) -> None:
        """A thread that waits here, or was woken, stands still for a while or for good."""
        if thread.is_over:
            waiting_threads.remove_thread(self._waiters, thread)
        self.hand_on(thread.threads.run)

    def end_of_run(self) -> None:
        """Called when the run is over: what was taken in it is free again."""
        if self._owner >= 0 and self._real.locked():
            self._real.release_lock()
        self._serial = self._owner = -1
        self._waiters = []

    def blocking_report(self) -> tuple[str, tuple[int, ...]]:
        """What reports say of a thread that waits here, and the tasks that it needs."""
        run = current.run
        assert run is not None
        if not self.points:
            return "", ()  # what it is part of says more
        label = run.object_labels[self._number]
        if self._owner < 0:
            return f"{label}, taken before the run", ()
        return f"{label}, held by", (self._owner,)

    def locked(self) -> bool:
        """As the real one; a schedule point, so that a loop that polls lets others run."""
        thread = getcurrent()
        if type(thread) is SimulatedThread:
            thread.schedule_point()
            self._note(thread.threads.run, READ)
        return self._real.locked()

    def _is_owned(self) -> bool:
        # `threading.Condition` asks this; without it, it would try to acquire the lock, two operations that the
        # program never wrote.
        return self._real.locked()

    __enter__ = acquire

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    # The real lock's old names, which it still has.
    acquire_lock = acquire
    release_lock = release
    locked_lock = locked

    def _at_fork_reinit(self) -> None:
        self._real._at_fork_reinit()  # type: ignore[attr-defined]  # private
        self._owner = -1
        self._waiters = []

    def __repr__(self) -> str:
        state = "locked" if self._real.locked() else "unlocked"
        return f"<{state} threading.{self.kind} object at {place_of(self)}>"


def made(kind: type[Any], caller: FrameType) -> Any:
    """A new lock of this kind, or the kind for libraries where one of them makes it at its import."""
    maker = library_of(caller) if is_library_file(caller.f_code.co_filename) else None
    if maker is None:
        return object.__new__(kind)
    lock = object.__new__(library_classes[kind])
    lock.maker = maker
    return lock


def _none(frame: FrameType | None) -> str | None:
    """No lock is a library's."""
    return None


# Set by `library_locks`, which is built on this file.
library_of: Callable[[FrameType | None], str | None] = _none
library_classes: dict[type[Any], Any] = {}


class WaiterLock(Lock):
    """What `threading.Condition` waits on: a lock of its own making, guarded by the condition's.

    No schedule points: everything around it is one already, and no other thread can meet it in between.
    """

    __slots__ = ()

    points = False
    kind = "Condition"
    wait_kind = WaitKind("Condition.wait")


def place_of(lock: Any) -> str:
    """Where a lock says it is, in its ``repr``."""
    # An address would differ from run to run, and programs print and compare such texts.
    run = current.run
    if run is None:
        return hex(id(lock))
    if lock._serial != run.serial:
        lock._enter(run)
    return f"{lock.kind} {lock._number} of the run"
