"""What `fcntl` does with files of a node, and ``os.lockf``: locks that wait in virtual time, and flags.

Source: flock(2), fcntl(2), lockf(3).
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import struct
import sys
from collections.abc import Callable
from typing import Any

from detrun.world.disk.file_locks import RecordLock
from detrun.world.files.descriptors import Descriptors, OpenFile
from detrun.world.network.posix import os_error
from detrun.world.network.waiting import WaitingCall
from detrun_scheduler import current
from detrun_scheduler.environment.hidden_state import refuse
from detrun_scheduler.threads.calling import schedule_point

_KINDS = {fcntl.F_UNLCK: fcntl.LOCK_UN, fcntl.F_RDLCK: fcntl.LOCK_SH, fcntl.F_WRLCK: fcntl.LOCK_EX}
_FLOCK = struct.Struct("hhqqi")  # struct flock of Linux on machines of 64 bits: kind, whence, start, length, process
_OF_OPEN_FILES = tuple(getattr(fcntl, f"F_OFD_{name}", -1) for name in ("GETLK", "SETLK", "SETLKW"))
_LOCKING = (fcntl.F_GETLK, fcntl.F_SETLK, fcntl.F_SETLKW, *_OF_OPEN_FILES)
_UNKNOWN = "of files of a node it knows flags, duplicates and, on Linux, locks; lock by fcntl.lockf or fcntl.flock"


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
        file = self.descriptors.file(fd)
        begin, end = self._range(fd, len, start, whence)
        if cmd & ~fcntl.LOCK_NB not in _KINDS.values():
            raise ValueError("unrecognized lockf argument")
        self._lock("fcntl.lockf", file, cmd, RecordLock(self.descriptors, begin, end, False, os.getpid()))

    def _lock(self, name: str, file: OpenFile, how: int, lock: RecordLock) -> None:
        """Lock or unlock the range of ``lock`` for its owner, as ``how`` says."""
        kind, locks = how & ~fcntl.LOCK_NB, self.disk.locks
        if kind == fcntl.LOCK_UN:
            schedule_point()
            locks.unlock_record(file.inode, lock.owner, lock.begin, lock.end)
            return
        if not (file.writable() if kind == fcntl.LOCK_EX else file.readable()):
            raise os_error(errno.EBADF)
        wanted = lock._replace(is_exclusive=kind == fcntl.LOCK_EX)
        self._take(name, file.name, how, lambda: locks.lock_record(file.inode, wanted))

    def lockf(self, fd: int, command: int, length: int, /) -> None:
        """As `os.lockf`: from where the file stands.

        Raises:
            BlockingIOError: another process has a lock there, and the command does not wait.
            OSError: EINVAL.
        """
        if command == os.F_TEST:
            schedule_point()
            file = self.descriptors.file(fd)
            wanted = RecordLock(self.descriptors, *self._range(fd, length, 0, os.SEEK_CUR), True, os.getpid())
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
        if length < 0:  # the bytes before it
            if begin + length < 0:
                raise os_error(errno.EINVAL)
            return begin + length, begin
        return begin, (begin + length if length else math.inf)

    # fcntl.

    def fcntl(self, fd: int, command: int, argument: Any = 0, /) -> Any:
        """As `fcntl.fcntl`: flags, another descriptor, locks of a process or of an open file.

        Raises:
            BlockingIOError: another has a lock there, and the command does not wait.
            OSError: EBADF; EINVAL, the lock is none.
            HiddenStateError: another command.
        """
        opened = self.descriptors.opened(fd)
        if command == fcntl.F_GETFD:
            return fcntl.FD_CLOEXEC
        if command == fcntl.F_GETFL:
            if not isinstance(opened, OpenFile):
                return os.O_RDONLY | os.O_DIRECTORY
            mode = os.O_RDWR if opened.readable() and opened.writable() else os.O_WRONLY if opened.writable() else 0
            return mode | (os.O_APPEND if opened.is_appending else 0)
        if command == fcntl.F_SETFL and isinstance(opened, OpenFile):
            opened.is_appending = bool(argument & os.O_APPEND)
            return 0
        if command in (fcntl.F_SETFD, fcntl.F_SETFL):
            return 0
        if command in (fcntl.F_DUPFD, getattr(fcntl, "F_DUPFD_CLOEXEC", -1)):
            return self.descriptors.add(opened)
        if command in _LOCKING and sys.platform == "linux":
            return self._lock_by_structure(fd, command, argument)
        refuse(f"fcntl.fcntl of a file of a node with command {command}", _UNKNOWN)

    def _lock_by_structure(self, fd: int, command: int, argument: Any) -> bytes:
        """What ``F_SETLK`` and its kin do with ``struct flock``, which comes back."""
        given = bytes(argument).ljust(_FLOCK.size, b"\0")
        kind, whence, start, length, pid = _FLOCK.unpack_from(given)
        file, is_of_file = self.descriptors.file(fd), command in _OF_OPEN_FILES
        if kind not in _KINDS or (is_of_file and pid):
            raise os_error(errno.EINVAL)
        begin, end = self._range(fd, length, start, whence)
        owner, number = (file, -1) if is_of_file else (self.descriptors, os.getpid())
        lock = RecordLock(owner, begin, end, kind == fcntl.F_WRLCK, number)
        if command not in (fcntl.F_GETLK, _OF_OPEN_FILES[0]):
            waits = command in (fcntl.F_SETLKW, _OF_OPEN_FILES[2])
            self._lock("fcntl.fcntl", file, _KINDS[kind] | (0 if waits else fcntl.LOCK_NB), lock)
            return bytes(argument)
        schedule_point()
        other = self.disk.locks.conflicting(file.inode, lock)
        if other is None:
            found = _FLOCK.pack(fcntl.F_UNLCK, whence, start, length, pid)
        else:
            size = 0 if other.end == math.inf else int(other.end) - other.begin
            held = fcntl.F_WRLCK if other.is_exclusive else fcntl.F_RDLCK
            found = _FLOCK.pack(held, os.SEEK_SET, other.begin, size, other.pid)
        return (found + given[_FLOCK.size :])[: len(argument)]

    def ioctl(self, fd: int, request: int, *arguments: Any) -> None:
        """As `fcntl.ioctl` of a file: ENOTTY."""
        self.descriptors.opened(fd)
        raise os_error(errno.ENOTTY)

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
                self.disk.locks.unlock_record(opened.inode, opened)
        self.disk.locks.owner_ended(self.descriptors)
