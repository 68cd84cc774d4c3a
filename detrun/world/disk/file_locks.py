"""`FileLocks`: advisory locks on the files of one disk, as flock(2) and fcntl(2) have them.

A lock by ``flock`` belongs to an open file, whichever processes have it, and goes with its last descriptor. A lock by
``lockf`` belongs to a process, counts for a range of bytes, and goes when the process closes any descriptor of the
file; one by ``F_OFD_SETLK`` is of the same kind, and belongs to an open file. The two kinds ignore each other, as on
Linux, and all locks are gone with a crash. Who waits is woken whenever a lock goes, and looks again.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from detrun.world.network.waiters import Waiters
from detrun_scheduler import current
from detrun_scheduler.journal import OPERATIONS

_ACQUIRE, _RELEASE = map(OPERATIONS.index, ("acquire", "release"))


class RecordLock(NamedTuple):
    """A lock on the bytes from ``begin`` up to ``end``, which may be infinite.

    Attributes:
        owner: a process, or an open file.
        pid: of the process; -1 where an open file has the lock.
    """

    owner: Any
    begin: int
    end: float
    is_exclusive: bool
    pid: int

    def conflicts_with(self, other: RecordLock) -> bool:
        """Whether both cannot be there."""
        return (
            self.owner is not other.owner
            and self.begin < other.end
            and other.begin < self.end
            and (self.is_exclusive or other.is_exclusive)
        )


class FileLocks:
    """The locks of one disk.

    Attributes:
        changes: woken when a lock has gone.
    """

    def __init__(self) -> None:
        self._of_files: dict[int, dict[Any, bool]] = {}  # inode -> open file -> whether its lock is exclusive
        self._of_processes: dict[int, list[RecordLock]] = {}  # inode -> locks
        self._objects: dict[int, tuple[int, int]] = {}  # inode -> serial of a run, number as an object of it
        self.changes = Waiters()

    def _note(self, inode: int, operation: int) -> None:
        run = current.run
        if run is None:
            return
        serial, number = self._objects.get(inode, (-1, 0))
        if serial != run.serial:
            number = run.register("file lock")
            self._objects[inode] = run.serial, number
        run.operation(number, operation, 0.0)

    def _went(self, inode: int) -> None:
        self._note(inode, _RELEASE)
        self.changes.wake()

    # flock.

    def lock_file(self, file: Any, is_exclusive: bool) -> bool:
        """Lock an open file in place of what lock it has; whether that could be."""
        held = self._of_files.setdefault(file.inode, {})
        if any(other is not file and (is_exclusive or exclusive) for other, exclusive in held.items()):
            return False
        was_exclusive = held.get(file, False)
        held[file] = is_exclusive
        self._note(file.inode, _ACQUIRE)
        if was_exclusive and not is_exclusive:
            self.changes.wake()
        return True

    def unlock_file(self, file: Any) -> None:
        """Take the lock of an open file away, if it has one."""
        held = self._of_files.get(file.inode)
        if held is not None and held.pop(file, None) is not None:
            self._went(file.inode)

    # lockf.

    def lock_record(self, inode: int, lock: RecordLock) -> bool:
        """Lock a range in place of what locks the owner has there; whether that could be."""
        if self.conflicting(inode, lock) is not None:
            return False
        self._cut_out(inode, lock)
        self._of_processes.setdefault(inode, []).append(lock)
        self._note(inode, _ACQUIRE)
        self.changes.wake()  # it may be weaker than what was there
        return True

    def conflicting(self, inode: int, lock: RecordLock) -> RecordLock | None:
        """A lock of another owner that is in the way."""
        return next((one for one in self._of_processes.get(inode, ()) if one.conflicts_with(lock)), None)

    def unlock_record(self, inode: int, owner: Any, begin: int = 0, end: float = math.inf) -> None:
        """Take the locks of an owner in a range away."""
        if self._cut_out(inode, RecordLock(owner, begin, end, False, -1)):
            self._went(inode)

    def _cut_out(self, inode: int, cut: RecordLock) -> bool:
        """Leave of the owner's locks what lies outside of a range; whether anything has gone."""
        before = self._of_processes.get(inode, [])
        after: list[RecordLock] = []
        for one in before:
            if one.owner is not cut.owner or one.end <= cut.begin or cut.end <= one.begin:
                after.append(one)
                continue
            if one.begin < cut.begin:
                after.append(one._replace(end=cut.begin))
            if cut.end < one.end:
                after.append(one._replace(begin=int(cut.end)))
        self._of_processes[inode] = after
        return after != before

    def owner_ended(self, owner: Any) -> None:
        """A process is over."""
        for inode in list(self._of_processes):
            self.unlock_record(inode, owner)

    def clear(self) -> None:
        """The machine has crashed: nothing is locked, and what waits is gone."""
        self._of_files.clear()
        self._of_processes.clear()
        self.changes.vanish()
