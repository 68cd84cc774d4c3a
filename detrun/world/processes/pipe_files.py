"""File objects on pipes: those of ``io`` over a raw file that waits in virtual time.

Python's buffers know threads by the operating system's, and take another simulated thread for a call that comes back to
itself. So threads enter a buffered object one at a time, by a lock of the run's, where in life a lock in C does that.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from detrun.world.disk.files import BUFFER_BYTES
from detrun.world.files.layers import check_arguments, flags_of
from detrun_scheduler import current

_CALLS = (
    *("close", "detach", "flush", "peek", "read", "read1", "readall", "readinto", "readinto1", "readline"),
    *("readlines", "write", "writelines", "__next__"),
)


class PipeFile(io.RawIOBase):
    """An unbuffered file on a descriptor, as ``io.FileIO`` is one.

    Args:
        calls: what ``os`` does with the descriptor.
        mode: as ``io.FileIO`` writes it.
        closefd: whether closing the object closes the descriptor.
    """

    def __init__(self, calls: Any, mode: str, closefd: bool) -> None:
        self._calls = calls
        self.name = calls.number
        self.mode = mode
        self.closefd = closefd

    def _check(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def fileno(self) -> int:
        """The descriptor."""
        self._check()
        return int(self._calls.number)

    def isatty(self) -> bool:
        """Never."""
        self._check()
        return False

    def readable(self) -> bool:
        """Whether it was opened for reading."""
        self._check()
        return self.mode.startswith("r") or "+" in self.mode

    def writable(self) -> bool:
        """Whether it was opened for writing."""
        self._check()
        return not self.mode.startswith("r") or "+" in self.mode

    def readinto(self, buffer: Any, /) -> int | None:
        """Read into a buffer; 0 at the end of the stream, None if the end is set not to block and the pipe is empty."""
        if not self.readable():
            raise io.UnsupportedOperation("File not open for reading")
        view = memoryview(buffer).cast("B")
        try:
            data = self._calls.read(len(view))
        except BlockingIOError:
            return None
        view[: len(data)] = data
        return len(data)

    def write(self, data: Any, /) -> int | None:
        """Write, and return how many bytes were taken; None if the end is set not to block and the pipe is full."""
        if not self.writable():
            raise io.UnsupportedOperation("File not open for writing")
        if self._calls.is_left_over:
            return memoryview(data).nbytes  # what a process had buffered when it ended is lost, as in life
        try:
            return int(self._calls.write(data))
        except BlockingIOError:
            return None

    def close(self) -> None:
        """Close it."""
        if not self.closed:
            super().close()
            # A file of a process that has ended is closed when it is collected: its descriptors are gone.
            if self.closefd and self._calls.is_open():
                self._calls.close()

    def __repr__(self) -> str:
        return f"<_io.FileIO name={self.name} mode={self.mode!r} closefd={self.closefd}>"


@cache
def _one_at_a_time(kind: Any) -> Any:
    """``kind`` with methods that one thread at a time is in."""

    def locking(name: str) -> Callable[..., Any]:
        original = getattr(kind, name)

        def method(self: Any, *arguments: Any, **named: Any) -> Any:
            if self.detrun_lock is None or getattr(self, "_finalizing", False) or current.run is None:
                return original(self, *arguments, **named)  # as an object is collected no thread can wait
            with self.detrun_lock:
                return original(self, *arguments, **named)

        method.__name__ = name
        method.__doc__ = original.__doc__
        return method

    members: dict[str, Any] = {name: locking(name) for name in _CALLS if hasattr(kind, name)}
    members |= {"detrun_lock": None, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind,), members)


def file_of_end(
    calls: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    """What ``open`` gives for a descriptor of a pipe or a socket, after its first argument.

    The default encoding is UTF-8 whatever the machine's is. ``opener`` is not called, as for any descriptor.
    """
    flags_of(mode)
    check_arguments(mode, buffering, encoding, errors, newline)
    kind = "r" if "r" in mode else mode.strip("bt+U")[:1] or "w"
    found: Any = PipeFile(calls, f"{kind}b{'+' if '+' in mode else ''}", closefd)
    if buffering == 0:
        return found
    if "+" in mode:
        raise io.UnsupportedOperation("File or stream is not seekable.")
    size = BUFFER_BYTES if buffering < 2 else buffering
    found = _one_at_a_time(io.BufferedReader if kind == "r" else io.BufferedWriter)(found, size)
    found.detrun_lock = threading.RLock()
    if "b" in mode:
        return found
    found = _one_at_a_time(io.TextIOWrapper)(found, encoding or "utf-8", errors, newline, line_buffering=buffering == 1)
    found.mode = mode
    found.detrun_lock = threading.RLock()
    return found
