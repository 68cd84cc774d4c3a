"""``fcntl.flock``, ``fcntl.lockf`` and ``os.lockf`` on files of a node, which wait in virtual time."""

from __future__ import annotations

import errno
import fcntl
import math
import os
from collections.abc import Callable
from typing import Any

from detrun.world.disk.file_locks import RecordLock
from detrun.world.files.descriptors import Descriptors
from detrun.world.network.posix import os_error
from detrun.world.network.waiting import WaitingCall
from detrun_scheduler import current
from detrun_scheduler.threads.calling import schedule_point


class LockCalls:
    """Locks by descriptors of one process on the disk of its node."""

    disk: Any
    descriptors: Descriptors

    def flock(self, fd: int, operation: int, /) -> None:
        """As `fcntl.flock`.

        Raises:
            BlockingIOError: another open file has a lock, and ``LOCK_NB`` was given.
            OSError: EINVAL.
        """
        locks = self.disk.locks
        opened = self.descriptors.opened(fd)
        how = operation & ~fcntl.LOCK_NB
        if how == fcntl.LOCK_UN:
            schedule_point()
            locks.unlock_file(opened)
        elif how in (fcntl.LOCK_SH, fcntl.LOCK_EX):
            self._take("fcntl.flock", opened.name, operation, lambda: locks.lock_file(opened, how == fcntl.LOCK_EX))
        else:
            raise os_error(errno.EINVAL)

    def record_lock(self, fd: int, cmd: int, len: int = 0, start: int = 0, whence: int = 0, /) -> None:
        """As `fcntl.lockf`.

        Raises:
            BlockingIOError: another process has a lock there, and ``LOCK_NB`` was given.
            OSError: EINVAL; EBADF, the file was not opened for that.
            ValueError: the command is unknown.
        """
        how = cmd & ~fcntl.LOCK_NB
        file = self.descriptors.file(fd)
        begin, end = self._range(fd, len, start, whence)
        locks = self.disk.locks
        if how == fcntl.LOCK_UN:
            schedule_point()
            locks.unlock_record(file.inode, self.descriptors, begin, end)
            return
        if how not in (fcntl.LOCK_SH, fcntl.LOCK_EX):
            raise ValueError("unrecognized lockf argument")
        if not (file.writable() if how == fcntl.LOCK_EX else file.readable()):
            raise os_error(errno.EBADF)
        lock = RecordLock(self.descriptors, begin, end, how == fcntl.LOCK_EX)
        self._take("fcntl.lockf", file.name, cmd, lambda: locks.lock_record(file.inode, lock))

    def lockf(self, fd: int, command: int, length: int, /) -> None:
        """As `os.lockf`: from where the file stands.

        Raises:
            BlockingIOError: another process has a lock there, and the command does not wait.
            OSError: EINVAL.
        """
        if command == os.F_TEST:
            schedule_point()
            file = self.descriptors.file(fd)
            wanted = RecordLock(self.descriptors, *self._range(fd, length, 0, os.SEEK_CUR), True)
            if self.disk.locks.conflicting(file.inode, wanted) is not None:
                raise os_error(errno.EACCES)
            return
        how = {
            os.F_LOCK: fcntl.LOCK_EX,
            os.F_TLOCK: fcntl.LOCK_EX | fcntl.LOCK_NB,
            os.F_ULOCK: fcntl.LOCK_UN,
        }.get(command)
        if how is None:
            raise os_error(errno.EINVAL)
        self.record_lock(fd, how, length, 0, os.SEEK_CUR)

    def _range(self, fd: int, length: int, start: int, whence: int) -> tuple[int, float]:
        file = self.descriptors.file(fd)
        size = self.disk.file_system.size(file.inode)
        base = {os.SEEK_SET: 0, os.SEEK_CUR: file.tell(), os.SEEK_END: size}.get(whence)
        if base is None or base + start < 0:
            raise os_error(errno.EINVAL)
        begin = base + start
        return begin, (begin + length if length else math.inf)

    def _take(self, name: str, path: str, operation: int, take: Callable[[], bool]) -> None:
        schedule_point()
        if take():
            return
        if operation & fcntl.LOCK_NB:
            raise os_error(errno.EAGAIN)
        run = current.require(name)
        WaitingCall(run, name, self.disk.locks.changes, take, lambda: f"another has locked {path!r}").wait()

    def end(self) -> None:
        """The process is over: its locks go, and those of files that no other process has open."""
        for opened in self.descriptors.all_opened():
            if opened.tables <= 1:
                self.disk.locks.unlock_file(opened)
        self.disk.locks.owner_ended(self.descriptors)
