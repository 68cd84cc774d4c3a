"""`multiprocessing`'s locks, semaphores, conditions and events inside a run: of its threads, in virtual time.

All of them stand on ``_multiprocessing.SemLock``, a semaphore of the operating system that other processes may share
and that waits in C. A run has no such processes. So a semaphore that is made in a run is one of simulated threads; one
from before the run is the real one.

Source: CPython's Modules/_multiprocessing/semaphore.c, whose errors these are.
"""

from __future__ import annotations

import threading
from typing import Any

from detrun_scheduler.environment.names_at_import import ReplacedAtImport
from detrun_scheduler.threads.calling import is_of_the_run

_RECURSIVE = 0  # the kind of a lock that its holder may take again


class _SemLock:
    """``_multiprocessing.SemLock`` in a run; a real one elsewhere."""

    SEM_VALUE_MAX = 2**31 - 1

    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        return object.__new__(cls) if is_of_the_run() else NAMES.originals["SemLock"](*arguments, **named)

    def __init__(self, kind: int, value: int, maxvalue: int, name: str, unlink: bool) -> None:
        self.handle = 0
        self.kind, self.maxvalue = kind, maxvalue
        self.name = None  # or a process would be started that sees to the end of the name
        self._semaphore: Any = threading.Semaphore(value)
        self._holds = 0
        self._holder: int | None = None

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """As the real one; the time-out is virtual."""
        if self.kind == _RECURSIVE and self._is_mine():
            self._holds += 1
            return True
        seconds = None if timeout is None or not block else max(timeout, 0)
        if not self._semaphore.acquire(block, seconds):
            return False
        self._holds += 1
        self._holder = threading.get_ident()
        return True

    __enter__ = acquire

    def release(self) -> None:
        """As the real one.

        Raises:
            AssertionError: another thread has taken the lock.
            ValueError: it was released too often.
        """
        if self.kind == _RECURSIVE:
            if not self._is_mine():
                raise AssertionError("attempt to release recursive lock not owned by thread")
            if self._holds > 1:
                self._holds -= 1
                return
        elif self._get_value() >= self.maxvalue:
            raise ValueError("semaphore or lock released too many times")
        self._holds -= 1
        self._semaphore.release()

    def __exit__(self, *error: object) -> None:
        self.release()

    def _count(self) -> int:
        return self._holds

    def _is_mine(self) -> bool:
        return self._holds > 0 and self._holder == threading.get_ident()

    def _get_value(self) -> int:
        return int(self._semaphore._value)

    def _is_zero(self) -> bool:
        return self._get_value() == 0

    def _after_fork(self) -> None:
        self._holds = 0


NAMES = ReplacedAtImport("_multiprocessing", {"SemLock": _SemLock})
