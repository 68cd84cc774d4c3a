"""`Listeners`: locks, semaphores, limiters and conditions of trio, asyncio and threading that say who has them.

Their methods are wrapped for the length of one run, which is a replay: the wrapped ones do what they did, and tell a
`Ledger`. Locks of threads are left out, since a recording has their operations. A condition has no holder; a task waits
for it until it has been notified and has the condition's lock again.

Conditions of asyncio that were made before the run keep the methods that their locks had then.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

import trio

_BUILT_ON_CONDITIONS = ("threading", "queue")  # modules whose classes wait for conditions of their own


class Ledger(Protocol):
    """Is told who has what; see `detrun.reports.held_locks.HeldLocks`."""

    def is_over(self) -> bool:
        """Whether the run has ended."""

    def asks(self, lock: Any) -> None:
        """The running task wants it, and may have to wait."""

    def gives_up(self, lock: Any) -> None:
        """It waits no more, and has not got it."""

    def stops_waiting(self, lock: Any, task: int | None = None) -> None:
        """The task has what it waited for."""

    def gets(self, lock: Any, task: int | None = None) -> None:
        """It has it now."""

    def gives_back(self, lock: Any, task: int | None = None) -> None:
        """It has it no more."""

    def times_held(self, lock: Any, task: int | None = None) -> int:
        """How often it has it."""

    def number_of(self, task: Any) -> int | None:
        """Of a task of trio's; None for anything else."""


class Listeners:
    """Wrapped from its making until `close`."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._replaced: list[tuple[type, str, Any]] = []  # what a class had of its own
        kind: Any
        for kind in (trio.Lock, trio.StrictFIFOLock):
            self._wrap(kind, "acquire_nowait", self._refusing)
            self._wrap(kind, "release", self._handing_on)
        self._wrap(trio.Semaphore, "acquire_nowait", self._refusing)
        self._wrap(trio.Semaphore, "acquire", self._awaiting)
        self._wrap(trio.Semaphore, "release", self._giving_back)
        self._wrap(trio.CapacityLimiter, "acquire_on_behalf_of_nowait", self._lending)
        self._wrap(trio.CapacityLimiter, "acquire_on_behalf_of", self._awaiting)
        self._wrap(trio.CapacityLimiter, "release_on_behalf_of", self._taking_back)
        self._wrap(trio.Condition, "wait", self._waiting)
        for name in ("acquire", "__enter__"):
            self._wrap(threading.Semaphore, name, self._acquiring)
        for kind in (threading.Semaphore, threading.BoundedSemaphore):
            self._wrap(kind, "release", self._giving_back_many)
        self._wrap(threading.Condition, "wait", self._blocking)
        asyncio = sys.modules.get("asyncio")
        if asyncio is not None:
            for kind in (asyncio.Lock, asyncio.Semaphore):
                self._wrap(kind, "acquire", self._awaiting)
                self._wrap(kind, "release", self._giving_back)
            self._wrap(asyncio.Condition, "wait", self._waiting)

    def close(self) -> None:
        """Give the classes their methods back."""
        for kind, name, own in reversed(self._replaced):
            if own is None:
                delattr(kind, name)
            else:
                setattr(kind, name, own)
        self._replaced.clear()

    def _wrap(self, kind: Any, name: str, listening: Callable[[Any], Any]) -> None:
        original = getattr(kind, name)
        self._replaced.append((kind, name, vars(kind).get(name)))
        wrapped: Any = functools.wraps(original)(listening(original))
        is_of_trio = kind.__module__.partition(".")[0] == "trio"
        setattr(kind, name, trio.lowlevel.enable_ki_protection(wrapped) if is_of_trio else wrapped)

    # What is taken at once or not at all.

    def _refusing(self, original: Any) -> Any:
        def acquire_nowait(lock: Any) -> None:
            try:
                original(lock)
            except trio.WouldBlock:
                self.ledger.asks(lock)
                raise
            self.ledger.gets(lock)

        return acquire_nowait

    def _lending(self, original: Any) -> Any:
        def acquire_on_behalf_of_nowait(limiter: Any, borrower: Any) -> None:
            try:
                original(limiter, borrower)
            except trio.WouldBlock:
                self.ledger.asks(limiter)
                raise
            self.ledger.gets(limiter, self.ledger.number_of(borrower))

        return acquire_on_behalf_of_nowait

    # What may have to be awaited.

    def _awaiting(self, original: Any) -> Any:
        async def acquire(lock: Any, *arguments: Any) -> Any:
            ledger = self.ledger
            if ledger.is_over():
                return await original(lock, *arguments)
            task = ledger.number_of(arguments[0]) if arguments else None  # on whose behalf
            before = ledger.times_held(lock, task)
            ledger.asks(lock)
            try:
                result = await original(lock, *arguments)
            except BaseException:
                ledger.gives_up(lock)
                raise
            if not ledger.is_over() and ledger.times_held(lock, task) == before:
                ledger.gets(lock, task)
            return result

        return acquire

    def _waiting(self, original: Any) -> Any:
        async def wait(condition: Any) -> Any:
            self.ledger.asks(condition)
            try:
                result = await original(condition)
            except BaseException:
                self.ledger.gives_up(condition)
                raise
            self.ledger.stops_waiting(condition)
            return result

        return wait

    def _acquiring(self, original: Any) -> Any:
        def acquire(semaphore: Any, *arguments: Any, **options: Any) -> Any:
            self.ledger.asks(semaphore)
            try:
                has_it = original(semaphore, *arguments, **options)
            except BaseException:
                self.ledger.gives_up(semaphore)
                raise
            (self.ledger.gets if has_it else self.ledger.gives_up)(semaphore)
            return has_it

        return acquire

    def _blocking(self, original: Any) -> Any:
        def wait(condition: Any, timeout: float | None = None) -> Any:
            caller = sys._getframe(1)
            if caller.f_globals.get("__name__") in _BUILT_ON_CONDITIONS and caller.f_code.co_name != "wait_for":
                return original(condition, timeout)
            self.ledger.asks(condition)
            try:
                is_notified = original(condition, timeout)
            except BaseException:
                self.ledger.gives_up(condition)
                raise
            (self.ledger.stops_waiting if is_notified else self.ledger.gives_up)(condition)
            return is_notified

        return wait

    # What is given back.

    def _handing_on(self, original: Any) -> Any:
        def release(lock: Any) -> None:
            original(lock)
            self.ledger.gives_back(lock)
            owner = self.ledger.number_of(lock.statistics().owner)
            if owner is not None:
                self.ledger.gets(lock, owner)

        return release

    def _giving_back(self, original: Any) -> Any:
        def release(lock: Any) -> None:
            original(lock)
            self.ledger.gives_back(lock)

        return release

    def _giving_back_many(self, original: Any) -> Any:
        def release(semaphore: Any, n: int = 1) -> None:
            original(semaphore, n)
            for _ in range(n):
                self.ledger.gives_back(semaphore)

        return release

    def _taking_back(self, original: Any) -> Any:
        def release_on_behalf_of(limiter: Any, borrower: Any) -> None:
            original(limiter, borrower)
            self.ledger.gives_back(limiter, self.ledger.number_of(borrower))

        return release_on_behalf_of
