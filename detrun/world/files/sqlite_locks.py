"""Locks of SQLite on one file of a node: the levels of a database, and the slots and memory of its write-ahead log.

A process on a node is one, so its connections meet here and nowhere else. Nothing waits: who does not get a lock is
told so (``SQLITE_BUSY``), and `detrun_scheduler.threads.sqlite_waits` tries again in virtual time.

Source: SQLite, os_unix.c, the comment above ``unixLock`` for levels; ``unixShmLock`` for slots.
"""

from __future__ import annotations

import ctypes
from typing import Any

NONE, SHARED, RESERVED, PENDING, EXCLUSIVE = range(5)
SLOTS = 8


class FileLocks:
    """Who holds what on one file; holders are compared by identity."""

    def __init__(self) -> None:
        self.levels: dict[Any, int] = {}  # holder -> its level, if it is not `NONE`
        self.regions: list[Any] = []  # shared memory, 32 KiB each
        self.mapped: dict[Any, None] = {}  # who uses it
        self.slots: list[dict[Any, bool]] = [{} for _ in range(SLOTS)]  # holder -> whether it holds it alone

    def level(self, holder: Any) -> int:
        """What ``holder`` has."""
        return self.levels.get(holder, NONE)

    def lock(self, holder: Any, level: int) -> bool:
        """Raise to ``level``; whether it was got. On the way to `EXCLUSIVE`, `PENDING` stays where others read."""
        if self.level(holder) >= level:
            return True
        others = [one for holding, one in self.levels.items() if holding is not holder]
        if level == SHARED:
            if any(one >= PENDING for one in others):
                return False
        elif any(one >= RESERVED for one in others):
            return False
        elif level == EXCLUSIVE and others:
            self.levels[holder] = PENDING
            return False
        self.levels[holder] = level
        return True

    def unlock(self, holder: Any, level: int) -> None:
        """Fall to `SHARED` or `NONE`."""
        if level == NONE:
            self.levels.pop(holder, None)
        elif self.level(holder) > level:
            self.levels[holder] = level

    def is_reserved(self) -> bool:
        """Whether anyone means to write."""
        return any(level >= RESERVED for level in self.levels.values())

    # The index of a write-ahead log.

    def region(self, holder: Any, number: int, size: int, extend: bool) -> Any:
        """The memory of one region, None if it is not there and ``extend`` is false."""
        self.mapped[holder] = None
        while extend and len(self.regions) <= number:
            self.regions.append(ctypes.create_string_buffer(size))
        return self.regions[number] if number < len(self.regions) else None

    def lock_slots(self, holder: Any, first: int, count: int, alone: bool) -> bool:
        """Take slots, shared or alone; whether they were got."""
        slots = self.slots[first : first + count]
        for slot in slots:
            if any(holding is not holder and (alone or is_alone) for holding, is_alone in slot.items()):
                return False
        for slot in slots:
            slot[holder] = alone
        return True

    def unlock_slots(self, holder: Any, first: int, count: int) -> None:
        """Give slots back."""
        for slot in self.slots[first : first + count]:
            slot.pop(holder, None)

    def unmap(self, holder: Any) -> None:
        """``holder`` uses the memory no more; it goes with its last user."""
        self.mapped.pop(holder, None)
        if not self.mapped:
            self.regions.clear()
