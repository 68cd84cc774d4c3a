"""Descriptors of a process: small objects behind the numbers that ``os.open`` gives, and the numbers themselves.

The numbers begin where no real descriptor is, so that a library which hands one to the operating system is told EBADF.
`os.dup` gives a second number of the same open file, with one position for both, as POSIX has it.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from detrun.world.disk.file_locks import FileLocks
from detrun.world.disk.files import RawFile
from detrun.world.disk.image import Target
from detrun.world.disk.lookup import failure
from detrun.world.services import FIRST_DESCRIPTOR

_FIRST = FIRST_DESCRIPTOR << 1  # sockets have those from FIRST_DESCRIPTOR on
_MODES = {os.O_RDONLY: "rb", os.O_WRONLY: "wb", os.O_RDWR: "rb+"}


class OpenFile(RawFile):
    """A file that was opened by flags, in place of a mode.

    Attributes:
        tables: how many processes have a descriptor of it.
    """

    def __init__(self, disk: Any, path: str, flags: int) -> None:
        mode = _MODES.get(flags & os.O_ACCMODE)
        if mode is None:
            raise failure(errno.EINVAL, path)
        self._disk = disk
        self._generation = disk.generation
        self._readable, self._writable = mode != "wb", mode != "rb"
        self.is_appending = bool(flags & os.O_APPEND)
        self.is_synced = bool(flags & os.O_DSYNC)  # a part of O_SYNC, too: each write is durable when it returns
        self._offset = 0
        self.name, self.mode = path, mode
        self.inode = disk.file_system.open(
            path,
            create=bool(flags & os.O_CREAT),
            exclusive=bool(flags & os.O_EXCL and flags & os.O_CREAT),
            truncate=bool(flags & os.O_TRUNC),
            follow=not flags & os.O_NOFOLLOW,
        )
        self._open = True
        self.tables = 0

    @property
    def target(self) -> Target:
        """What it is, for the file system."""
        return Target(self.inode, False)


class OpenDirectory:
    """A directory that was opened, for `os.fsync`, `os.scandir` and paths that begin there.

    It stays the same directory where it is renamed.
    """

    def __init__(self, disk: Any, path: str) -> None:
        self._disk = disk
        self._opened_at = path
        self.tables = 0
        self.inode: int = disk.file_system.directory_at(path)

    @property
    def name(self) -> str:
        """Where it is; where it was, if it has been removed."""
        found: str = self._disk.file_system.path_of_directory(self.inode, self._opened_at)
        return found

    @property
    def target(self) -> Target:
        """What it is, for the file system."""
        return Target(self.inode, True)

    def close(self) -> None:
        """Nothing is held."""


class Descriptors:
    """The open files of a process by number; several numbers may mean one open file.

    Args:
        locks: of the disk. Those of the process have this table as their owner.
    """

    def __init__(self, locks: FileLocks) -> None:
        self._locks = locks
        self._open: dict[int, OpenFile | OpenDirectory] = {}
        self.inheritable: set[int] = set()
        self._next = _FIRST

    def add(self, opened: OpenFile | OpenDirectory, number: int | None = None) -> int:
        """Give an open file a number, the next or the one that is asked for."""
        if number is None:
            number, self._next = self._next, self._next + 1
        if not self._has(opened):
            opened.tables += 1
        self._open[number] = opened
        return number

    def between(self, low: int, high: int) -> list[int]:
        """Numbers of open files from ``low`` up to ``high``."""
        return [number for number in self._open if low <= number < high]

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and number in self._open

    def has_given(self, number: object) -> bool:
        """Whether a number is, or was, one of these."""
        return isinstance(number, int) and _FIRST <= number < self._next

    def opened(self, number: int) -> OpenFile | OpenDirectory:
        """What a number means.

        Raises:
            OSError: EBADF.
        """
        found = self._open.get(number)
        if found is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return found

    def file(self, number: int) -> OpenFile:
        """The file that a number means.

        Raises:
            OSError: EBADF; EISDIR for a directory.
        """
        found = self.opened(number)
        if isinstance(found, OpenDirectory):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        return found

    def close(self, number: int) -> None:
        """Take a number back; the file is closed with its last one.

        Locks of the process on the file go, and with its last number that of the open file.

        Raises:
            OSError: EBADF.
        """
        found = self.opened(number)
        del self._open[number]
        self.inheritable.discard(number)
        is_last = not self._has(found)
        if is_last:
            found.tables -= 1
        self._locks.unlock_record(found.inode, self)
        if is_last and not found.tables:
            self._locks.unlock_file(found)
            self._locks.unlock_record(found.inode, found)
            found.close()

    def _has(self, opened: OpenFile | OpenDirectory) -> bool:
        return any(one is opened for one in self._open.values())

    def all_opened(self) -> list[OpenFile | OpenDirectory]:
        """Each open file once."""
        return list({id(one): one for one in self._open.values()}.values())

    def close_all(self) -> None:
        """The process is over."""
        for number in list(self._open):
            self.close(number)
