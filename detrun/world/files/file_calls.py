"""`FileCalls`: what ``os`` does with descriptors in the code of a node; methods have the names and arguments of ``os``.

A number that is none of the process's own, a pipe or the standard output, is real, and goes to the real function.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from typing import Any

from detrun.world.disk.file_system import Status
from detrun.world.files.descriptors import Descriptors, OpenDirectory, OpenFile
from detrun.world.files.given_paths import name_as_given
from detrun.world.files.lock_calls import LockCalls
from detrun_scheduler.environment.file_names import original as real
from detrun_scheduler.environment.hidden_state import refuse

_SYNCS = getattr(os, "RWF_DSYNC", 0) | getattr(os, "RWF_SYNC", 0)  # flags of `os.pwritev`
_APPENDS = getattr(os, "RWF_APPEND", 0)
_SEEKING_DATA = [getattr(os, name) for name in ("SEEK_DATA", "SEEK_HOLE") if hasattr(os, name)]


class FileCalls(LockCalls):
    """Descriptors of one process on the disk of its node.

    Args:
        disk: of the node.
    """

    def __init__(self, disk: Any) -> None:
        self.disk = disk
        self.descriptors = Descriptors(disk.locks)

    def answer(self, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """What ``os.name(*arguments, **named)`` gives to code of the node."""
        first = arguments[0] if arguments else next(iter(named.values()), None)
        if name in ("fsync", "fdatasync"):
            first = number_of(first)
        if type(first) is int and not self.descriptors.has_given(first):
            return real(name)(*arguments, **named)
        call = getattr(self, name)
        try:
            return call(*arguments, **named)
        except OSError as error:
            name_as_given(error, name, arguments, named)
            raise

    def _blocking(self, function: Callable[..., Any], *arguments: Any, path: str) -> Any:
        return self.disk.call_blocking(function, *arguments, path=path)

    def _metadata(self, function: Callable[..., Any], *arguments: Any, path: str) -> Any:
        self.disk.owe("metadata", 0)
        return self._blocking(function, *arguments, path=path)

    def _readable(self, fd: int) -> OpenFile:
        file = self.descriptors.file(fd)
        if not file.readable():
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return file

    def _writable(self, fd: int, number: int = errno.EBADF) -> OpenFile:
        opened = self.descriptors.opened(fd)
        if isinstance(opened, OpenDirectory) or not opened.writable():
            raise OSError(number, os.strerror(number))
        return opened

    # Of one descriptor.

    def close(self, fd: int) -> None:
        """As `os.close`."""
        self.descriptors.close(fd)

    def closerange(self, fd_low: int, fd_high: int, /) -> None:
        """As `os.closerange`, of files of the process: what is real belongs to the run."""
        for number in self.descriptors.between(fd_low, fd_high):
            self.descriptors.close(number)

    def dup(self, fd: int, /) -> int:
        """As `os.dup`."""
        return self.descriptors.add(self.descriptors.opened(fd))

    def dup2(self, fd: int, fd2: int, inheritable: bool = True) -> int:
        """As `os.dup2`."""
        opened = self.descriptors.opened(fd)
        if fd2 not in self.descriptors:
            refuse(f"os.dup2 onto {fd2}", "only a descriptor of a file that is open on the node can become another")
        if opened is not self.descriptors.opened(fd2):
            self.descriptors.close(fd2)
            self.descriptors.add(opened, fd2)
        return fd2

    def read(self, fd: int, length: int, /) -> bytes:
        """As `os.read`."""
        file = self._readable(fd)
        _check(length)
        return bytes(self._blocking(file.read, length, path=file.name))

    def write(self, fd: int, data: Any, /) -> int:
        """As `os.write`."""
        file = self._writable(fd)
        written = int(self._blocking(file.write, data, path=file.name))
        self._written(file, file.is_synced)
        return written

    def pread(self, fd: int, length: int, offset: int, /) -> bytes:
        """As `os.pread`."""
        file = self._readable(fd)
        _check(length, offset)
        return bytes(self._blocking(file.pread, length, offset, path=file.name))

    def pwrite(self, fd: int, data: Any, offset: int, /) -> int:
        """As `os.pwrite`."""
        return self._pwrite(fd, data, offset, 0)

    def _pwrite(self, fd: int, data: Any, offset: int, flags: int) -> int:
        file = self._writable(fd)
        _check(offset)
        if flags & _APPENDS:
            offset = self.disk.file_system.size(file.inode)
        written = int(self._blocking(file.pwrite, data, offset, path=file.name))
        self._written(file, file.is_synced or bool(flags & _SYNCS))
        return written

    def _written(self, file: OpenFile, is_synced: bool) -> None:
        if is_synced:
            self.disk.sync_inode_blocking(file.inode, file.name)

    def readv(self, fd: int, buffers: Iterable[Any], /) -> int:
        """As `os.readv`."""
        return _spread(buffers, self.read(fd, sum(map(_size, buffers))))

    def preadv(self, fd: int, buffers: Iterable[Any], offset: int, flags: int = 0, /) -> int:
        """As `os.preadv`."""
        return _spread(buffers, self.pread(fd, sum(map(_size, buffers)), offset))

    def writev(self, fd: int, buffers: Iterable[Any], /) -> int:
        """As `os.writev`."""
        return self.write(fd, b"".join(bytes(one) for one in buffers))

    def pwritev(self, fd: int, buffers: Iterable[Any], offset: int, flags: int = 0, /) -> int:
        """As `os.pwritev`."""
        return self._pwrite(fd, b"".join(bytes(one) for one in buffers), offset, flags)

    def lseek(self, fd: int, position: int, how: int, /) -> int:
        """As `os.lseek`. All of a file is data, and the hole behind it begins at its end."""
        file = self.descriptors.file(fd)
        if how in _SEEKING_DATA:
            end = self.disk.file_system.size(file.inode)
            if not 0 <= position < end:
                raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
            position, how = end if how == os.SEEK_HOLE else position, os.SEEK_SET
        if how not in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return file.seek(position, how)

    def fsync(self, fd: Any) -> None:
        """As `os.fsync`, of a file or of a directory's entries."""
        opened = self.descriptors.opened(number_of(fd))
        self.disk.sync_inode_blocking(opened.inode, opened.name)

    fdatasync = fsync

    def sync(self) -> None:
        """As `os.sync`: everything is on the disk when it returns."""
        state = self.disk.file_system.state
        numbers = list(state.pending)
        self.disk.owe("fsync", 0)
        self._blocking(lambda: None, path="/")
        state.sync(numbers)

    def ftruncate(self, fd: int, length: int, /) -> None:
        """As `os.ftruncate`."""
        file = self._writable(fd, errno.EINVAL)
        self._blocking(file.truncate, length, path=file.name)
        self._written(file, file.is_synced)

    def fstat(self, fd: int) -> os.stat_result:
        """As `os.fstat`."""
        opened = self.descriptors.opened(fd)
        return stat_result(self._metadata(self.disk.file_system.status_of, opened.target, path=opened.name))

    def isatty(self, fd: int, /) -> bool:
        """As `os.isatty`."""
        self.descriptors.opened(fd)
        return False

    def fchmod(self, fd: int, mode: int) -> None:
        """As `os.fchmod`."""
        self.disk.file_system.set_permissions(self.descriptors.opened(fd).inode, mode & 0o7777)

    def get_inheritable(self, fd: int, /) -> bool:
        """As `os.get_inheritable`."""
        self.descriptors.opened(fd)
        return fd in self.descriptors.inheritable

    def set_inheritable(self, fd: int, inheritable: int, /) -> None:
        """As `os.set_inheritable`: kept, and without effect, since children have the files that they are given."""
        self.descriptors.opened(fd)
        (self.descriptors.inheritable.add if inheritable else self.descriptors.inheritable.discard)(fd)

    def get_blocking(self, fd: int, /) -> bool:
        """As `os.get_blocking`."""
        self.descriptors.opened(fd)
        return True

    def set_blocking(self, fd: int, blocking: bool, /) -> None:
        """As `os.set_blocking`, which changes nothing for a file."""
        self.descriptors.opened(fd)

    def posix_fadvise(self, fd: int, offset: int, length: int, advice: int, /) -> None:
        """As `os.posix_fadvise`; the advice is not needed."""
        self.descriptors.file(fd)

    def posix_fallocate(self, fd: int, offset: int, length: int, /) -> None:
        """As `os.posix_fallocate`."""
        file = self.descriptors.file(fd)
        if offset + length > self.disk.file_system.size(file.inode):
            self.ftruncate(fd, offset + length)

    def fstatvfs(self, fd: int, /) -> os.statvfs_result:
        """As `os.fstatvfs`."""
        self.descriptors.opened(fd)
        return self.statvfs_result()

    def statvfs_result(self) -> os.statvfs_result:
        """What the disk has room for; a disk without a limit says 2**40 sectors."""
        system = self.disk.file_system
        width = system.state.model.sector_bytes
        total = (1 << 40) if system.capacity_bytes is None else system.capacity_bytes // width
        free = system.free_sectors(total)
        return os.statvfs_result((width, width, total, free, free, 1 << 32, 1 << 32, 1 << 32, 0, 255))

    # Of two.

    def sendfile(self, out_fd: int, in_fd: int, offset: int | None, count: int) -> int:
        """As `os.sendfile` between files of the node."""
        self.descriptors.file(out_fd)
        data = self.read(in_fd, count) if offset is None else self.pread(in_fd, count, offset)
        return self.write(out_fd, data) if data else 0

    def copy_file_range(
        self, src: int, dst: int, count: int, offset_src: int | None = None, offset_dst: int | None = None
    ) -> int:
        """As `os.copy_file_range`."""
        data = self.read(src, count) if offset_src is None else self.pread(src, count, offset_src)
        if not data:
            return 0
        return self.write(dst, data) if offset_dst is None else self.pwrite(dst, data, offset_dst)


def number_of(fd: Any) -> int:
    """A descriptor, or that of a file object.

    Raises:
        TypeError: it is neither.
    """
    if not isinstance(fd, int) and not hasattr(fd, "fileno"):
        raise TypeError("argument must be an int, or have a fileno() method.")
    number: int = fd if isinstance(fd, int) else fd.fileno()
    return number


def stat_result(found: Status) -> os.stat_result:
    """What ``os.stat`` gives. The time of the status is that of the last change."""
    seconds, nanoseconds = found.st_mtime, found.st_mtime_ns
    whole = [moment // 10**9 for moment in (found.st_atime_ns, nanoseconds, nanoseconds)]
    sequence = (found.st_mode, found.st_ino, 1, found.st_nlink, os.getuid(), os.getgid(), found.st_size, *whole)
    extra: dict[str, Any] = {f"st_{kind}time": seconds for kind in "mc"}
    extra |= {f"st_{kind}time_ns": nanoseconds for kind in "mc"}
    extra |= {"st_atime": found.st_atime_ns / 1e9, "st_atime_ns": found.st_atime_ns}
    extra |= {"st_blksize": 4096, "st_blocks": -(-found.st_size // 512), "st_rdev": 0}
    return os.stat_result(sequence, extra)


def _check(*numbers: int) -> None:
    """EINVAL for a negative size or offset."""
    if min(numbers) < 0:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def _size(buffer: Any) -> int:
    return memoryview(buffer).nbytes


def _spread(buffers: Iterable[Any], data: bytes) -> int:
    place = 0
    for buffer in buffers:
        view = memoryview(buffer).cast("B")
        piece = data[place : place + len(view)]
        view[: len(piece)] = piece
        place += len(piece)
    return len(data)
