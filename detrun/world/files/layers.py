"""File objects on a node's disk: those of ``io``, which wait in virtual time.

`FileOfNode` stands where ``io.FileIO`` stands in life, and the buffers and the text layer above it are Python's own.
Only the outermost object takes the disk's time, after each of its calls: within a call of a buffer no other thread may
run, since Python's buffers know threads by the operating system's, and would take another simulated thread for a call
that comes back to itself.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from detrun.world.disk.files import BUFFER_BYTES, kind_of_mode
from detrun.world.files.descriptors import Descriptors, OpenFile

_READING = ("peek", "read", "read1", "readall", "readinto", "readinto1", "readline", "readlines", "tell")
_CALLS = (*_READING, "close", "flush", "seek", "truncate", "write", "writelines")


def flags_of(mode: Any) -> int:
    """The flags that ``open`` gives to ``os.open`` for a mode.

    Raises:
        TypeError: the mode is not text.
        ValueError: the mode is invalid.
    """
    if not isinstance(mode, str):
        raise TypeError(f"open() argument 'mode' must be str, not {type(mode).__name__}")
    kind = kind_of_mode(mode)
    access = os.O_RDWR if "+" in mode else os.O_RDONLY if kind == "r" else os.O_WRONLY
    more = {"r": 0, "w": os.O_CREAT | os.O_TRUNC, "a": os.O_CREAT | os.O_APPEND, "x": os.O_CREAT | os.O_EXCL}
    return access | more[kind] | getattr(os, "O_CLOEXEC", 0)


def check_arguments(mode: str, buffering: int, encoding: Any, errors: Any, newline: Any) -> None:
    """What ``open`` refuses before it touches a file.

    Raises:
        ValueError: as ``open``.
    """
    if "b" in mode:
        for name, value in (("encoding", encoding), ("errors", errors), ("newline", newline)):
            if value is not None:
                article = "an" if name != "newline" else "a"
                raise ValueError(f"binary mode doesn't take {article} {name} argument")
    elif buffering == 0:
        raise ValueError("can't have unbuffered text I/O")


class FileOfNode(io.RawIOBase):
    """An unbuffered file, as ``io.FileIO`` is one.

    Args:
        descriptors: of the process.
        number: the descriptor.
        name: the path that it was opened with, or the descriptor.
        mode: as ``io.FileIO`` writes it.
        closefd: whether closing the object closes the descriptor.
    """

    def __init__(self, descriptors: Descriptors, number: int, name: Any, mode: str, closefd: bool) -> None:
        self._descriptors = descriptors
        self._number = number
        self.name = name
        self.mode = mode
        self.closefd = closefd

    @property
    def _file(self) -> OpenFile:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        return self._descriptors.file(self._number)

    def fileno(self) -> int:
        """The descriptor, for the functions of ``os``.

        numpy asks for it to read and write past the object in C, and takes the object's own methods if there is none.
        """
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if sys._getframe(1).f_code.co_name == "isfileobj":
            raise io.UnsupportedOperation("fileno")
        return self._number

    def __repr__(self) -> str:
        if self.closed:
            return "<_io.FileIO [closed]>"
        return f"<_io.FileIO name={self.name!r} mode={self.mode!r} closefd={self.closefd}>"

    def inode_of_synced(self) -> int | None:
        """The inode of a file that was opened with O_SYNC or O_DSYNC, so that what is written to it is synced."""
        file = self._file
        return file.inode if file.is_synced else None

    def isatty(self) -> bool:
        """Never."""
        return False

    def readable(self) -> bool:
        """Whether it was opened for reading."""
        return self._file.readable()

    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return self._file.writable()

    def seekable(self) -> bool:
        """Always."""
        return not self._file.closed

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer; 0 at the end of the file."""
        return self._file.readinto(buffer)

    def write(self, data: Any, /) -> int:
        """Write to the page cache."""
        return self._file.write(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move the position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position."""
        return self._file.tell()

    def truncate(self, size: int | None = None, /) -> int:
        """Cut the file, or extend it with zeros."""
        return self._file.truncate(size)

    def close(self) -> None:
        """Close it; nothing becomes durable by that."""
        if not self.closed:
            super().close()
            # A file whose process has crashed is closed when it is collected: its descriptors are gone.
            if self.closefd and self._number in self._descriptors:
                self._descriptors.close(self._number)


@cache
def _outermost(kind: Any) -> Any:
    """``kind`` with methods that take the disk's time when they are done."""

    def taking_time(name: str) -> Callable[..., Any]:
        original = getattr(kind, name)

        def method(self: Any, *arguments: Any, **named: Any) -> Any:
            disk = self.detrun_disk
            if disk is None or (name == "close" and getattr(self, "_finalizing", False)):
                return original(self, *arguments, **named)  # as an object is collected no thread can wait
            result = disk.call_blocking(lambda: original(self, *arguments, **named), path=self.detrun_path)
            if self.detrun_synced is not None and name not in _READING:
                disk.sync_inode_blocking(self.detrun_synced, self.detrun_path)
            return result

        method.__name__ = name
        method.__doc__ = original.__doc__
        return method

    members: dict[str, Any] = {name: taking_time(name) for name in _CALLS if hasattr(kind, name)}
    members |= {"detrun_disk": None, "detrun_path": "", "detrun_synced": None}
    members |= {"__doc__": kind.__doc__, "__module__": kind.__module__}
    return type(kind.__name__, (kind,), members)


def layered(
    raw: FileOfNode,
    disk: Any,
    path: str,
    mode: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> Any:
    """The layers that ``open`` puts on a raw file. The default encoding is UTF-8 whatever the machine's is.

    Args:
        raw: made by `raw_file`.
        disk: the one that takes the time.
        path: where the file is on it.
        mode, buffering, encoding, errors, newline: as of ``open``, which has checked them.
    """
    binary = "b" in mode
    found: Any = raw
    if buffering:
        size = BUFFER_BYTES if buffering < 2 else buffering
        kind: Any = io.BufferedRandom if "+" in mode else io.BufferedReader if "r" in mode else io.BufferedWriter
        found = (_outermost(kind) if binary else kind)(raw, size)
    if not binary:
        found = _outermost(io.TextIOWrapper)(found, encoding or "utf-8", errors, newline, line_buffering=buffering == 1)
        found.mode = mode
    if raw.mode.startswith("a"):
        found.seek(0, io.SEEK_END)
    found.detrun_disk, found.detrun_path = disk, path
    found.detrun_synced = raw.inode_of_synced()
    return found


def raw_file(descriptors: Descriptors, number: int, name: Any, mode: str, closefd: bool, *, is_outermost: bool) -> Any:
    """The raw file of a descriptor; the one that the program gets if it asked for no buffer."""
    kind = kind_of_mode(mode)
    written = ("r" if kind == "w" and "+" in mode else kind) + ("b+" if "+" in mode else "b")  # as io.FileIO says it
    return (_outermost(FileOfNode) if is_outermost else FileOfNode)(descriptors, number, name, written, closefd)
