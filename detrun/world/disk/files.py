"""Open files on a simulated disk, with the interface that trio gives to real ones.

Below is one raw file, which turns reads and writes into calls of the `FileSystem` and draws their faults; above it are
the buffers and the text layer of the standard library, the very ones that real files have. What a program has written
and not flushed is therefore in its own memory and lost when it crashes; what it has flushed is in the page cache and
lost when the power goes; what it has synced is on the disk. Each method is a checkpoint and takes the disk's time.

As with trio, a call that has begun is not cancelled. In place of ``os.fsync(file.fileno())`` there is ``file.fsync()``.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Protocol

from detrun.world.disk.file_system import FileSystem
from detrun.world.disk.heard import READS, WRITES, hear_bytes
from detrun.world.disk.lookup import failure
from detrun_scheduler.errors import UsageError
from detrun_scheduler.randomness import index_below

BUFFER_BYTES = 8192  # io.DEFAULT_BUFFER_SIZE, which may differ between Python versions


class DiskOfFiles(Protocol):
    """A disk as its open files see it."""

    name: str
    file_system: FileSystem
    generation: int

    def strikes(self, kind: str, path: str) -> bool:
        """Whether a fault strikes at this chance."""

    def draw(self, purpose: str) -> int:
        """64 random bits."""

    def owe(self, kind: str, count: int) -> None:
        """The call in progress did work of a kind on so many bytes."""

    async def call(self, function: Callable[..., Any], *args: Any, path: str) -> Any:
        """Call a synchronous function and take the time that its work owes."""

    async def sync_inode(self, inode: int, path: str) -> None:
        """Wait until a file is on the disk."""


class RawFile(io.RawIOBase):
    """An unbuffered file; synchronous. Made by `Disk.open_file`."""

    _open = False  # also where the constructor refuses, since io closes whatever it throws away

    def __init__(self, disk: DiskOfFiles, path: str, mode: str) -> None:
        kind = kind_of_mode(mode)
        self._disk = disk
        self._generation = disk.generation
        self._readable = kind == "r" or "+" in mode
        self._writable = kind != "r" or "+" in mode
        self.is_appending = kind == "a"
        self._offset = 0
        self.name = path
        self.mode = mode
        self.inode = disk.file_system.open(path, create=kind != "r", exclusive=kind == "x", truncate=kind == "w")
        self._open = True
        if self.is_appending:
            self._offset = disk.file_system.size(self.inode)  # where Python's own files begin to read

    @property
    def is_orphaned(self) -> bool:
        """Whether the process that opened it has crashed."""
        return self._generation != self._disk.generation

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def readable(self) -> bool:
        """Whether it was opened for reading."""
        return self._readable

    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return self._writable

    def seekable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer; 0 at the end of the file."""
        self._check_open()
        if not self._readable:
            raise io.UnsupportedOperation("not readable")
        disk = self._disk
        view = memoryview(buffer).cast("B")
        if disk.strikes("read_error", self.name):
            raise failure(errno.EIO, self.name)
        data = disk.file_system.read(self.inode, self._offset, len(view))
        if data and disk.strikes("bit_flip_on_read", self.name):
            data = flipped(data, disk.draw("which bit"))
        view[: len(data)] = data
        hear_bytes(READS, disk.name, self.inode, self._offset, self._offset + len(data))
        self._offset += len(data)
        disk.owe("read", len(data))
        return len(data)

    def write(self, data: Any, /) -> int:
        """Write to the page cache; fewer bytes than given if the disk fills up."""
        self._check_open()
        if not self._writable:
            raise io.UnsupportedOperation("not writable")
        disk, data = self._disk, bytes(data)
        if self.is_orphaned:
            # A buffer that is flushed when it is collected, after its process has crashed: in life it was gone too.
            return len(data)
        if disk.strikes("write_error", self.name):
            raise failure(errno.EIO, self.name)
        if disk.strikes("no_space", self.name):
            raise failure(errno.ENOSPC, self.name)
        if self.is_appending:
            self._offset = disk.file_system.size(self.inode)
        try:
            written = disk.file_system.write(self.inode, self._offset, data)
        except OSError as error:
            error.filename = self.name  # the file system knows inodes only
            raise
        hear_bytes(WRITES, disk.name, self.inode, self._offset, self._offset + written)
        self._offset += written
        disk.owe("write", written)
        return written

    def pread(self, size: int, offset: int) -> bytes:
        """Read at an offset; the position stays."""
        position, self._offset = self._offset, offset
        try:
            return self.read(size) or b""
        finally:
            self._offset = position

    def pwrite(self, data: Any, offset: int) -> int:
        """Write at an offset; the position stays."""
        position, self._offset = self._offset, offset
        try:
            return self.write(data)
        finally:
            self._offset = position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move the position."""
        self._check_open()
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._disk.file_system.size(self.inode)}
        if whence not in base:
            raise ValueError(f"invalid whence ({whence}, should be 0, 1 or 2)")
        if base[whence] + offset < 0:
            raise failure(errno.EINVAL, self.name)
        self._offset = base[whence] + offset
        return self._offset

    def tell(self) -> int:
        """The position."""
        self._check_open()
        return self._offset

    def truncate(self, size: int | None = None, /) -> int:
        """Cut the file, or extend it with zeros; the position stays."""
        self._check_open()
        if not self._writable:
            raise io.UnsupportedOperation("truncate")
        size = self._offset if size is None else size
        if size < 0:
            raise failure(errno.EINVAL, self.name)
        if not self.is_orphaned:
            self._disk.file_system.truncate(self.inode, size)
            self._disk.owe("metadata", 0)
        return size

    def close(self) -> None:
        """Close it; nothing becomes durable by that."""
        if not self.closed:
            super().close()
            if self._open and not self.is_orphaned:
                self._disk.file_system.close(self.inode)
            self._open = False


def kind_of_mode(mode: str) -> str:
    """Which of the letters ``rwax`` a mode of ``open`` has.

    Raises:
        ValueError: the mode is invalid.
    """
    kinds = [letter for letter in "rwax" if letter in mode]
    if len(kinds) != 1 or set(mode) - set("rwaxbt+") or len(set(mode)) != len(mode) or {"b", "t"} <= set(mode):
        raise ValueError(f"invalid mode: {mode!r}")
    return kinds[0]


def flipped(data: bytes, bits: int) -> bytes:
    """``data`` with one bit changed, chosen by 64 random bits."""
    bit = index_below(bits, 8 * len(data))
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


def layered(
    raw: RawFile, mode: str, buffering: int, encoding: str | None, errors: str | None, newline: str | None
) -> Any:
    """The layers that ``open`` puts on a raw file. The default encoding is UTF-8 whatever the machine's is.

    Raises:
        ValueError: what ``open`` refuses, such as unbuffered text.
    """
    binary = "b" in mode
    if binary and (encoding is not None or errors is not None or newline is not None):
        raise ValueError("binary mode doesn't take an encoding, errors or newline argument")
    if buffering == 0:
        if not binary:
            raise ValueError("can't have unbuffered text I/O")
        return raw
    size = BUFFER_BYTES if buffering < 2 else buffering
    buffered: Any
    if "+" in mode:
        buffered = io.BufferedRandom(raw, size)
    elif "r" in mode:
        buffered = io.BufferedReader(raw, size)
    else:
        buffered = io.BufferedWriter(raw, size)
    if binary:
        return buffered
    return io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline, line_buffering=buffering == 1)


class DiskFile:
    """An open file with async methods; the counterpart of what ``trio.open_file`` gives. Made by `Disk.open_file`."""

    def __init__(self, disk: DiskOfFiles, raw: RawFile, wrapped: Any) -> None:
        self._disk = disk
        self._raw = raw
        self.wrapped = wrapped

    @property
    def name(self) -> str:
        """The path that it was opened with."""
        return self._raw.name

    @property
    def mode(self) -> str:
        """The mode that it was opened with."""
        return self._raw.mode

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return bool(self.wrapped.closed)

    def __getattr__(self, name: str) -> Any:
        # As trio's files have it: what the layers of this file know, binary or text, and only that.
        if name in ("encoding", "errors", "newlines", "line_buffering", "buffer", "raw"):
            return getattr(self.wrapped, name)
        if name in ("read1", "readinto1", "peek", "readall") and hasattr(self.wrapped, name):
            return partial(self._call, name)
        raise AttributeError(f"{self!r} has no attribute {name!r}")

    def fileno(self) -> int:
        """Refused, with what to do instead.

        Raises:
            io.UnsupportedOperation: always, as files in memory do.
        """
        raise io.UnsupportedOperation(
            f"fileno: {self.name!r} is on a simulated disk and has no descriptor; instead of "
            "os.fsync(file.fileno()) write 'await file.fsync()'"
        )

    def isatty(self) -> bool:
        """Never."""
        return False

    def readable(self) -> bool:
        """Whether it was opened for reading."""
        return self._raw.readable()

    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return self._raw.writable()

    def seekable(self) -> bool:
        """Always."""
        return True

    def _call(self, method: str, *args: Any) -> Awaitable[Any]:
        return self._call_of(self.wrapped, method, *args)

    def _call_raw(self, method: str, *args: Any) -> Awaitable[Any]:
        return self._call_of(self._raw, method, *args)

    async def _call_of(self, layer: Any, method: str, *args: Any) -> Any:
        if self._raw.is_orphaned and not self.closed:
            raise UsageError(
                f"file {self.name!r} was opened before disk {self._disk.name!r} crashed; open it again when restarted"
            )
        return await self._disk.call(getattr(layer, method), *args, path=self.name)

    async def read(self, size: int = -1, /) -> Any:
        """Read up to ``size`` bytes or characters, all by default."""
        return await self._call("read", size)

    async def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer (binary files)."""
        return int(await self._call("readinto", buffer))

    async def readline(self, size: int = -1, /) -> Any:
        """Read a line."""
        return await self._call("readline", size)

    async def readlines(self, hint: int = -1, /) -> list[Any]:
        """Read all lines."""
        return list(await self._call("readlines", hint))

    async def write(self, data: Any, /) -> int:
        """Write to the program's buffer, and from there to the page cache when that is full."""
        return int(await self._call("write", data))

    async def pread(self, size: int, offset: int, /) -> bytes:
        """Read at an offset, past the program's buffer and whatever the position is; fewer bytes at the end.

        In place of ``os.pread(file.fileno(), size, offset)``. Tasks that share a file need it: between a `seek` and a
        `read` another one may seek.
        """
        return bytes(await self._call_raw("pread", size, offset))

    async def pwrite(self, data: Any, offset: int, /) -> int:
        """Write at an offset into the page cache, past the program's buffer and whatever the position is.

        In place of ``os.pwrite(file.fileno(), data, offset)``; fewer bytes than given if the disk fills up.
        """
        return int(await self._call_raw("pwrite", data, offset))

    async def writelines(self, lines: Iterable[Any], /) -> None:
        """Write several times."""
        await self._call("writelines", lines)

    async def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move the position."""
        return int(await self._call("seek", offset, whence))

    async def tell(self) -> int:
        """The position."""
        return int(await self._call("tell"))

    async def truncate(self, size: int | None = None, /) -> int:
        """Cut the file at ``size``, or at the position; or extend it with zeros."""
        return int(await self._call("truncate", size))

    async def flush(self) -> None:
        """Move what the program has buffered into the page cache. A power loss may still take it."""
        await self._call("flush")

    async def fsync(self) -> None:
        """Flush, and wait until the file is on the disk; not the directory entry that leads to it.

        Raises:
            OSError: EIO. What was not durable by then never will be; see `disk_faults`.
        """
        await self._call("flush")
        await self._disk.sync_inode(self._raw.inode, self.name)

    async def aclose(self) -> None:
        """Flush and close."""
        await self._disk.call(self.wrapped.close, path=self.name)

    async def __aenter__(self) -> DiskFile:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> DiskFile:
        return self

    async def __anext__(self) -> Any:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    def __repr__(self) -> str:
        return f"<DiskFile {self.name!r} mode {self.mode!r} on disk {self._disk.name!r}>"
