"""Locks that libraries make when they are imported: they take part in the schedule only where two threads meet at them.

Many of these guard what is done once in a process: asyncio's policy, a table of plug-ins, a foreign library. If taking
one were a step, a program would take other steps in a process that has run it before, and a recording of a warm process
would not replay in a cold one. So taking such a lock while it is free, and giving it back, is not a schedule point and
not written down. Once one thread holds it and another wants it, it is a lock like any other for the rest of the run:
the other thread waits, a deadlock names it, and each operation is a step.

The rule: such a lock is made while the body of a module runs that belongs to the standard library or to an installed
package. Locks in objects that the program makes (a `queue.Queue`, a pool, a session) are made by its calls and are
steps as ever. So are locks of the package that the program itself belongs to, and of code in which threads are
preempted.

What is lost: two threads may share data that such a lock guards, and never wait for it. Then nothing comes between two
sections under the lock, unless threads are preempted at lines. Race detection and footprints are told of every
operation all the same. Recordings made before this rule are replayed without it (`run.THREAD_RULES`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, partial
from types import FrameType
from typing import Any

from detrun_scheduler.footprints.watch import observe
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.threads import locks
from detrun_scheduler.threads.calling import threads_of_call
from detrun_scheduler.threads.locks import ACQUIRE, RELEASE, Lock
from detrun_scheduler.threads.reentrant_locks import RLOCK_WAIT, RLock
from detrun_scheduler.user_code import installed_package, is_library_file


def library_of(frame: FrameType | None) -> str | None:
    """The file of the library whose import leads to ``frame``, None if something else does."""
    while frame is not None:
        code = frame.f_code
        if not is_library_file(code.co_filename):
            return None
        if code.co_name == "<module>":
            return None if frame.f_globals.get("__name__") == "__main__" else code.co_filename
        frame = frame.f_back
    return None


def _file_of(main: Callable[..., Any] | None) -> str:
    function: Any = main
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function) if callable(function) else function
    return getattr(getattr(function, "__code__", None), "co_filename", "")


@cache
def _same_package(one: str, other: str) -> bool:
    package = installed_package(one)
    return bool(package) and package == installed_package(other)


class LibraryLock(Lock):
    """A `Lock` that joins the schedule when two threads meet at it."""

    __slots__ = ("entered", "maker", "points")

    maker: str

    def __init__(self) -> None:
        super().__init__()
        self.points = True  # whether its operations are steps, in the run that it was used in last
        self.entered = -1  # which that is

    def _begin(self) -> ActiveRun | None:
        """The run that the caller belongs to, None outside."""
        threads = threads_of_call()
        if threads is None:
            return None
        run = threads.run
        if self.entered != run.serial:
            self.entered = run.serial
            self.points = not self._is_quiet(run)
            self._owner = -1
            threads.touched.append(self)
        return run

    def _is_quiet(self, run: ActiveRun) -> bool:
        if run.thread_rules < 4:
            return False
        watched = run.preemption is not None and self.maker in run.preemption.watched
        return not watched and not _same_package(self.maker, _file_of(run.main))

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As `Lock.acquire`."""
        if self._begin() is not None and not self.points and self._real.locked():
            self.points = True
        return super().acquire(blocking, timeout)

    def release(self) -> None:
        """As `Lock.release`."""
        self._begin()
        super().release()

    def locked(self) -> bool:
        """As `Lock.locked`."""
        if self._begin() is not None and not self.points:
            if not self._real.locked():
                return False
            self.points = True
        return super().locked()

    __enter__ = acquire
    acquire_lock = acquire
    release_lock = release
    locked_lock = locked

    def _enter(self, run: ActiveRun) -> None:
        owner = self._owner  # took it before there was anything to write down
        super()._enter(run)
        self._owner = owner

    def _note(self, run: ActiveRun, operation: int) -> int:
        if self.points:
            return super()._note(run, operation)
        if operation in (ACQUIRE, RELEASE):
            self.passed(operation)
            run.passed(self, operation)
        return run.current

    def passed(self, operation: int) -> None:
        """An operation has taken effect that is written down nowhere: footprints are told of it."""


observe(LibraryLock, {"passed": None}, "_number")


class _BlockOfLibraryRLock(LibraryLock):
    """What a `LibraryRLock` is on top of, in one run."""

    __slots__ = ()

    kind = "RLock"
    wait_kind = RLOCK_WAIT

    def __new__(cls) -> _BlockOfLibraryRLock:
        """No library's by itself."""
        return object.__new__(cls)


class LibraryRLock(RLock):
    """An `RLock` that joins the schedule when two threads meet at it."""

    __slots__ = ("maker",)

    maker: str

    def _make_block(self) -> Lock:
        block = _BlockOfLibraryRLock()
        block.maker = self.maker
        return block


def install() -> None:
    """Let locks be made of these classes where libraries make them."""
    locks.library_of = library_of
    locks.library_classes = {Lock: LibraryLock, RLock: LibraryRLock}
