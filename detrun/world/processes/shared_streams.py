"""Standard streams that are real: a child's of a file, and those of the run, which stay open for it.

A child of which nothing else is a standard stream inherits that of the run, with objects of its own in ``sys``. What it
writes there goes at once through the run's own object, so that it keeps its place among what the run prints and is
captured with it.
"""

from __future__ import annotations

import errno
import io
import sys
from typing import Any

from detrun.world.network.posix import os_error
from detrun.world.processes.end_calls import EndCalls
from detrun_scheduler.environment import file_names
from detrun_scheduler.environment.hidden_state import allowed

NAMES = ("stdin", "stdout", "stderr")


class SharedStream(EndCalls):
    """Calls about it.

    Args:
        process: which has it, too.
        number: of the real stream, 0 to 2.
        place: under which number the process has it.
        stream: the object of the run that prints there; None where the run has none.
    """

    def __init__(self, process: Any, number: int, place: int, stream: Any) -> None:
        super().__init__(process, number)
        self._place = place
        self.stream = stream

    @classmethod
    def of_run(cls, process: Any, number: int, place: int) -> SharedStream:
        """That of the code that calls."""
        return cls(process, number, place, getattr(sys, NAMES[number]))

    def is_open(self) -> bool:
        """Whether the process still has it, which is asked of those that have it only."""
        return True

    def answer(self, name: str, *arguments: Any, **named: Any) -> Any:
        """What ``os.name(number, ...)`` gives."""
        if name == "close":
            self._process.standard[self._place] = ClosedStream(self._process, self._place)
            return None
        return file_names.original(name)(self.number, *arguments, **named)

    def replace(self, fd: int) -> int:
        """As `os.dup2` of a real file onto it: the stream of the run stays what it is."""
        self._process.standard[self._place] = RealCallsOfStream(self._process, file_names.original("dup")(fd))
        return self._place

    def opened(self, file: Any, *arguments: Any, **named: Any) -> Any:
        """As the function ``open``."""
        return file_names.original_open()(self.number, *arguments, **{**named, "closefd": False})

    def object_of_child(self) -> Any:
        """What ``sys`` has for a child; None where the run has nothing there."""
        if self.number == 0:
            try:
                with allowed():
                    return self.opened(0, "r", -1, "utf-8", "strict")
            except OSError:
                return None
        if self.stream is None:
            return None
        raw = _SharedOutput(self._process, self._place, self.stream)
        errors = "backslashreplace" if self._place == 2 else "strict"
        return io.TextIOWrapper(raw, raw.encoding, errors, write_through=True)  # as with -u


class RealCallsOfStream(EndCalls):
    """A standard stream that is a real file."""

    def __init__(self, process: Any, number: int) -> None:
        super().__init__(process, number)
        self._is_open = True

    def is_open(self) -> bool:
        """Whether it has not been closed."""
        return self._is_open

    def answer(self, name: str, *arguments: Any, **named: Any) -> Any:
        """What ``os.name(number, ...)`` gives."""
        if name == "close":
            self._is_open = False
        return file_names.original(name)(self.number, *arguments, **named)

    def opened(self, file: Any, *arguments: Any, **named: Any) -> Any:
        """As the function ``open``."""
        return file_names.original_open()(self.number, *arguments, **{**named, "closefd": False})

    def release(self) -> None:
        """Close it."""
        if self._is_open:
            self.answer("close")


class ClosedStream(EndCalls):
    """A standard stream of the run that a process has closed."""

    def is_open(self) -> bool:
        """Never."""
        return False

    def answer(self, name: str, *arguments: Any, **named: Any) -> Any:
        """EBADF."""
        raise os_error(errno.EBADF)

    def opened(self, file: Any, *arguments: Any, **named: Any) -> Any:
        """As the function ``open``: EBADF."""
        raise os_error(errno.EBADF)


class _SharedOutput(io.RawIOBase):
    """The unbuffered file below ``sys.stdout`` or ``sys.stderr`` of a child that has the run's.

    As the interpreter's own, it does not close its descriptor: after ``sys.stdout.close()`` the process still has 1.
    """

    mode = "wb"

    def __init__(self, process: Any, place: int, stream: Any) -> None:
        self._process = process
        self._stream = stream
        self.name = place
        self.encoding: str = getattr(stream, "encoding", None) or "utf-8"

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self.name

    def isatty(self) -> bool:
        """Whether the run's own is a terminal."""
        return bool(self._stream.isatty())

    def write(self, data: Any, /) -> int:
        """Print it by the run's own object; or do with the descriptor what ``os.write`` does, once it is another's.

        Raises:
            OSError: EBADF, the process has closed its descriptor.
        """
        if self.closed:
            raise ValueError("write to closed file")
        given = bytes(data)
        if not self._process.is_running:
            return len(given)
        calls = self._process.standard[self.name]
        if not isinstance(calls, SharedStream):
            return int(calls.answer("write", given))
        try:
            text = given.decode(self.encoding)
        except UnicodeDecodeError:
            below = getattr(self._stream, "buffer", None)
            if below is not None:
                self._stream.flush()  # text that it still holds comes first
                below.write(given)
                self._stream.flush()
                return len(given)
            text = given.decode(self.encoding, "backslashreplace")
        self._stream.write(text)
        return len(given)
