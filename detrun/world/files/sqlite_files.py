"""SQLite's files on a node's disk, as its virtual file system asks for them, with what a power loss may leave of them.

A call of ``sqlite3`` is one step: within it no other code runs, though a commit writes and syncs several times. To let
the power fail in between, an fsync within a call is *put off*: what it would have made durable stays pending until the
call is over, when the syncs take place one after another and each takes its time (`SqliteFiles.settle`). Meanwhile
everything that the call has written after such a sync *needs* what that sync was for, so that a power loss leaves what
it could have left in the middle of the call: never a page without its journal.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

from detrun.world.disk.lookup import failure
from detrun.world.files.descriptors import OpenFile
from detrun.world.files.node_files import NodeFiles
from detrun.world.files.sqlite_locks import FileLocks


class TemporaryFile:
    """A file without a name, which SQLite sorts in; in memory, since nothing of it can be seen after a crash."""

    def __init__(self) -> None:
        self.content = bytearray()

    def read(self, size: int, offset: int) -> bytes:
        """At most ``size`` bytes."""
        return bytes(self.content[offset : offset + size])

    def write(self, data: bytes, offset: int) -> None:
        """Write."""
        if len(self.content) < offset:
            self.content.extend(bytes(offset - len(self.content)))
        self.content[offset : offset + len(data)] = data

    def truncate(self, size: int) -> None:
        """Cut it."""
        del self.content[size:]

    def sync(self) -> None:
        """Nothing."""

    def size(self) -> int:
        """In bytes."""
        return len(self.content)

    def close(self) -> None:
        """Nothing is held."""

    locks = FileLocks()  # never contended: the file has no name


class DiskFile:
    """A database, journal or log on the disk.

    Args:
        owner: the files of the process.
        path: absolute.
        flags: of ``os.open``.
        syncs_directory: whether its first sync makes the entry that leads to it durable, too.
        deletes: whether it goes when it is closed.
    """

    def __init__(self, owner: SqliteFiles, path: str, flags: int, syncs_directory: bool, deletes: bool) -> None:
        self._owner = owner
        self._file = OpenFile(owner.files.disk, path, flags)
        self.path = path
        self._syncs_directory = syncs_directory
        self._deletes = deletes
        self.locks = owner.locks.setdefault(self._file.inode, FileLocks())

    def read(self, size: int, offset: int) -> bytes:
        """At most ``size`` bytes."""
        if self._file.is_orphaned:
            return b""
        return self._file.pread(size, offset)

    def write(self, data: bytes, offset: int) -> None:
        """Write all of it.

        Raises:
            OSError: ENOSPC, EIO.
        """
        while data:
            written = self._owner.changing(self._file.pwrite, data, offset)
            if not written:
                raise failure(errno.ENOSPC, self.path)
            data, offset = data[written:], offset + written

    def truncate(self, size: int) -> None:
        """Cut it."""
        self._owner.changing(self._file.truncate, size)

    def sync(self) -> None:
        """Make it durable, at the end of the call."""
        if self._file.is_orphaned:
            return
        inodes = [self._file.inode]
        if self._syncs_directory:
            inodes.append(self._owner.directory(self.path))
            self._syncs_directory = False
        self._owner.sync(inodes, self.path)

    def size(self) -> int:
        """In bytes."""
        return 0 if self._file.is_orphaned else self._file._disk.file_system.size(self._file.inode)

    def close(self) -> None:
        """Close it, and let its locks go."""
        self.locks.unlock(self, 0)
        self._file.close()
        if self._deletes and not self._file.is_orphaned:
            self._owner.delete(self.path, syncs=False)


class SqliteFiles:
    """Those of one process.

    Attributes:
        locks: by inode.
        calls: how many calls of ``sqlite3`` are in progress, one within another.
        failure: what was raised within the call, for which SQLite has no number.
    """

    def __init__(self, files: NodeFiles) -> None:
        self.files = files
        self.locks: dict[int, FileLocks] = {}
        self.calls = 0
        self.failure: BaseException | None = None
        self._written: set[str] = set()  # journals and logs
        self._put_off: list[tuple[tuple[int, ...], str]] = []  # changes to be made durable, and of which file
        self._unsettled: dict[int, None] = {}  # those of all calls that are not over, in order

    def open(self, path: str, flags: int, *, syncs_directory: bool, deletes: bool) -> DiskFile:
        """Open a file.

        Raises:
            OSError: as ``os.open``.
        """
        if syncs_directory:
            self._written.add(path)
        opened: DiskFile = self.changing(DiskFile, self, path, flags, syncs_directory, deletes)
        return opened

    def delete(self, path: str, *, syncs: bool) -> None:
        """Remove a file, durably if ``syncs``.

        Raises:
            OSError: ENOENT.
        """
        self.changing(self.files.disk.file_system.unlink, path)
        self._written.discard(path)
        if syncs:
            self.sync([self.directory(path)], path)

    def has_written(self, path: str) -> bool:
        """Whether a file may be removed by what is going on: within a call, or a journal of this process's own."""
        return self.calls > 0 or path in self._written

    def size_at(self, path: str) -> int | None:
        """The size of what is at a path; None if there is nothing."""
        try:
            return int(self.files.disk.file_system.status(path).st_size)
        except OSError:
            return None

    def directory(self, path: str) -> int:
        """The inode of the directory around a path."""
        found: int = self.files.disk.file_system.directory_at(os.path.dirname(path))
        return found

    def changing(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call what changes the disk; the changes need what was put off."""
        state = self.files.disk.file_system.state
        state.barrier = tuple(self._unsettled)
        try:
            return function(*arguments)
        finally:
            state.barrier = ()

    def sync(self, inodes: list[int], path: str) -> None:
        """Make what is pending of these durable: now, or at the end of the call in progress.

        Raises:
            OSError: EIO, by a fault.
        """
        disk = self.files.disk
        pending_of = disk.file_system.state.pending_of
        numbers = tuple(number for inode in inodes for number in pending_of(inode))
        if not disk.syncs_truly(numbers, path):
            return
        if not self.calls:
            disk.make_durable(numbers, path)
            return
        self._put_off.append((numbers, path))
        self._unsettled.update(dict.fromkeys(numbers))

    def settle(self) -> None:
        """The call is over: it takes the time of its reads, writes and syncs, which make durable in their order."""
        disk = self.files.disk
        put_off, self._put_off = self._put_off, []
        disk.call_blocking(lambda: None, path="/")
        for numbers, path in put_off:
            disk.owe_sync(numbers)
            disk.call_blocking(lambda: None, path=path)
            disk.make_durable(numbers, path)
            for one in numbers:
                self._unsettled.pop(one, None)
