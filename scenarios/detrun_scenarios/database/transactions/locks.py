"""`Locks`: strict two-phase locking on tables and on keys, with deadlocks found as they arise.

A *resource* is a table, one key of one index of it, or a beginning of its keys. Who reads by a key shares the key; who
reads a range shares the values with which all its keys begin, or the table if there are none; who writes a row locks
all keys by which it can be found, before and after. A row that is not there has keys too, so that there are no
phantoms. Locks on a table and on a beginning say what is done below it (*intentions*), so that a reader of all of it
and a writer of one row meet there.

A transaction asks again for what it has, in a stronger mode: it then holds both, and is compatible if both are. Locks
are held until the end. They are given in the order of asking, but to those who hold something there first: an upgrade
that waits behind newcomers would wait for itself.

Source: Gray, Lorie, Putzolu and Traiger, "Granularity of locks", 1976 (modes and the matrix).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import trio

from detrun_scenarios.database.transactions.waits import DeadlockError, Waits

LockMode: TypeAlias = Literal["IS", "IX", "S", "X"]

_COMPATIBLE: dict[LockMode, frozenset[LockMode]] = {
    "IS": frozenset(("IS", "IX", "S")),
    "IX": frozenset(("IS", "IX")),
    "S": frozenset(("IS", "S")),
    "X": frozenset(),
}


@dataclass(slots=True)
class _Lock:
    """One resource: who holds it in which modes, and who waits."""

    held: dict[int, dict[LockMode, None]] = field(default_factory=dict)
    waiting: list[tuple[int, LockMode, trio.Event]] = field(default_factory=list)

    def against(self, number: int, mode: LockMode) -> list[int]:
        """Those that hold it in a mode that forbids another one."""
        return [
            other
            for other, modes in self.held.items()
            if other != number and any(one not in _COMPATIBLE[mode] for one in modes)
        ]


class Locks:
    """See the module."""

    def __init__(self, waits: Waits) -> None:
        self.waits = waits
        self._locks: dict[Hashable, _Lock] = {}
        self._resources: dict[int, dict[Hashable, None]] = {}

    async def acquire(self, number: int, resource: Hashable, mode: LockMode) -> None:
        """Lock a resource for a transaction, until its end. Waiting is a schedule point, having it at once is none.

        Raises:
            DeadlockError: it would wait for itself.
        """
        lock = self._locks.setdefault(resource, _Lock())
        if mode in lock.held.get(number, ()):
            return
        is_upgrade = number in lock.held
        if not lock.against(number, mode) and (is_upgrade or not lock.waiting):
            self._give(lock, number, resource, mode)
            return
        one = (number, mode, trio.Event())
        lock.waiting.insert(0 if is_upgrade else len(lock.waiting), one)

        def others() -> list[int]:
            ahead = lock.waiting[: lock.waiting.index(one)] if one in lock.waiting else []
            return [*lock.against(number, mode), *(waiter for waiter, _, _ in ahead)]

        try:
            self.waits.begin(number, others)
        except DeadlockError:
            lock.waiting.remove(one)
            raise
        await one[2].wait()
        self.waits.end(number)

    def release_all(self, number: int) -> None:
        """The end of a transaction."""
        for resource in self._resources.pop(number, {}):
            lock = self._locks[resource]
            del lock.held[number]
            while lock.waiting and not lock.against(*lock.waiting[0][:2]):
                waiter, mode, given = lock.waiting.pop(0)
                self._give(lock, waiter, resource, mode)
                given.set()
            if not lock.held and not lock.waiting:
                del self._locks[resource]

    def _give(self, lock: _Lock, number: int, resource: Hashable, mode: LockMode) -> None:
        lock.held.setdefault(number, {})[mode] = None
        self._resources.setdefault(number, {})[resource] = None
