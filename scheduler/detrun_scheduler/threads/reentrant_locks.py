"""Re-entrant locks that are real outside a run and simulated inside: the type behind `threading.RLock`.

Inside a run one is an owner and a count around a `Lock`, which does the waiting. Here both types take the places of the
real ones; see `locks` for why, and for the rules.
"""

from __future__ import annotations

import sys
import threading
from _thread import RLock as _RealRLock
from types import TracebackType
from typing import Any

from greenlet import getcurrent

from detrun_scheduler import current
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.threads.calling import is_of_the_run
from detrun_scheduler.threads.locks import Lock, WaiterLock, check_timeout, made, place_of
from detrun_scheduler.threads.simulated_thread import MAIN_IDENT, SimulatedThread, WaitKind
from detrun_scheduler.threads.thread_of_code import thread_of_code

RLOCK_WAIT = WaitKind("RLock.acquire")


class _BlockOfRLock(Lock):
    """What an `RLock` is on top of, in one run."""

    __slots__ = ()

    kind = "RLock"
    wait_kind = RLOCK_WAIT


class RLock:
    """`threading.RLock` in both worlds: the real one outside a run, an owner and a count around a lock inside."""

    __slots__ = ("__weakref__", "_block", "_count", "_owner", "_real", "_serial")

    def __new__(cls, *_: Any) -> RLock:
        """A `LibraryRLock` where a library makes it at its import."""
        return made(cls, sys._getframe(1)) if cls is RLock else object.__new__(cls)

    def __init__(self) -> None:
        self._real = _RealRLock()
        self._serial = -1  # the run in which the next three were set
        self._block: Lock = _NO_BLOCK
        self._owner = 0  # ident of the simulated thread that holds it; that of trio's tasks is MAIN_IDENT
        self._count = 0

    def _inside(self) -> int:
        """The ident of the calling simulated thread or event loop, 0 outside the run."""
        thread = getcurrent()
        run: ActiveRun | None
        if type(thread) is SimulatedThread:
            ident, run = thread.ident, thread.threads.run
        else:
            run = current.run
            if run is None or not is_of_the_run():
                return 0
            of_loop = thread_of_code()
            ident = MAIN_IDENT if of_loop is None else of_loop.ident
        if self._serial != run.serial:
            self._serial = run.serial
            self._block = self._make_block()
            self._owner = self._count = 0
            assert run.threads is not None
            run.threads.touched.append(self)
        return ident

    def _make_block(self) -> Lock:
        return _BlockOfRLock()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As the real one; a time-out is virtual."""
        me = self._inside()
        if not me:
            return self._real.acquire(blocking, timeout)
        if self._owner == me:
            if timeout != -1:
                check_timeout(blocking, timeout)
            self._count += 1
            return True
        if self._block.acquire(blocking, timeout):
            self._owner, self._count = me, 1
            return True
        return False

    def release(self) -> None:
        """As the real one."""
        me = self._inside()
        if not me:
            self._real.release()
        elif self._owner != me:
            raise RuntimeError("cannot release un-acquired lock")
        elif self._count > 1:
            self._count -= 1
        else:
            self._release_block()

    def _release_block(self) -> None:
        thread = getcurrent()
        if type(thread) is SimulatedThread and self._block.points:
            thread.schedule_point()
        self._count = self._owner = 0
        assert current.run is not None
        self._block.give_back(current.run)

    __enter__ = acquire

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def locked(self) -> bool:
        """Whether it is held; real ones have this from Python 3.14 on."""
        if not self._inside():
            if self._real.acquire(False):
                self._real.release()
                return bool(self._real._is_owned())  # type: ignore[attr-defined]  # private
            return True
        return self._count > 0

    # What `threading.Condition` uses.

    def _is_owned(self) -> bool:
        me = self._inside()
        return self._owner == me if me else bool(self._real._is_owned())  # type: ignore[attr-defined]  # private

    def _recursion_count(self) -> int:
        me = self._inside()
        if me:
            return self._count if self._owner == me else 0
        return self._real._recursion_count()  # type: ignore[attr-defined, no-any-return]  # private

    def _release_save(self) -> Any:
        me = self._inside()
        if not me:
            return self._real._release_save()  # type: ignore[attr-defined]  # private
        if self._owner != me:
            raise RuntimeError("cannot release un-acquired lock")
        saved = self._count
        self._release_block()
        return saved

    def _acquire_restore(self, saved: Any) -> None:
        if self._inside():
            self.acquire()
            self._count = saved
        else:
            self._real._acquire_restore(saved)  # type: ignore[attr-defined]  # private

    def end_of_run(self) -> None:
        """Called when the run is over."""
        self._serial = -1
        self._block = _NO_BLOCK
        self._owner = self._count = 0

    def _at_fork_reinit(self) -> None:
        self._real._at_fork_reinit()  # type: ignore[attr-defined]  # private
        self._serial = -1

    def __repr__(self) -> str:
        me = self._inside()
        if not me:
            return repr(self._real).replace("_thread.RLock", "threading.RLock")
        state = "locked" if self._count else "unlocked"
        return f"<{state} threading.RLock object owner={self._owner} count={self._count} at {place_of(self._block)}>"


_NO_BLOCK = _BlockOfRLock()


def install() -> None:
    """Take the places of the real locks in `threading`, for the rest of the process. Further calls do nothing."""
    # Not `_CRLock`: who kept the function `threading.RLock` of Python 3.11 wants a real lock, trio for one.
    names: dict[str, object] = {"Lock": Lock, "RLock": RLock, "_allocate_lock": WaiterLock}
    for name, replacement in names.items():
        setattr(threading, name, replacement)
