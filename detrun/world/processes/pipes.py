"""Pipes of a machine: two ends and the bytes between them, as Linux keeps them.

Invariant: what is read is what was written, in order; the read end sees the end of the stream once nothing holds the
write end any more, and a write fails with EPIPE once nothing holds the read end.

A pipe takes 65,536 bytes. A write of at most 4,096 is taken whole or not at all; a larger one may be taken in part. The
methods do not wait: they raise `BlockingIOError`, and `end_calls` lets the caller wait.

Source: pipe(7).
"""

from __future__ import annotations

import errno
import os
import select
from typing import Any

from detrun.world.network.posix import os_error
from detrun.world.processes.held_ends import HeldEnd, Side
from detrun.world.services import Services
from detrun_scheduler.journal import OPERATIONS

CAPACITY_BYTES = 65_536
ATOMIC_BYTES = 4_096  # PIPE_BUF
_READ, _WRITE, _CLOSE = map(OPERATIONS.index, ("get", "put", "release"))


class Pipe:
    """The bytes on their way, and both sides. It does not refer to its ends, which refer to it."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.content = bytearray()
        self.object = services.run.register("pipe")
        self.reading = Side()
        self.writing = Side()

    @property
    def room(self) -> int:
        """How many bytes it takes now."""
        return CAPACITY_BYTES - len(self.content)


class PipeEnd(HeldEnd):
    """One end."""

    def __init__(self, pipe: Pipe, *, is_reading: bool) -> None:
        own, self.other = (pipe.reading, pipe.writing) if is_reading else (pipe.writing, pipe.reading)
        super().__init__(pipe.services, own, os.O_RDONLY if is_reading else os.O_WRONLY)
        self.pipe = pipe
        self.is_reading = is_reading

    def _released(self) -> None:
        self._note(_CLOSE, b"")
        super()._released()
        for waiters in (self.other.readers, self.other.writers):
            waiters.wake()
        if self.is_reading:
            self.pipe.content.clear()

    def _note(self, operation: int, value: bytes) -> None:
        run = self.services.run
        if run.threads is not None:  # otherwise the run is over
            run.operation_on(self.pipe.object, operation, value)

    # Bytes.

    def read(self, length: int) -> bytes:
        """At most ``length`` bytes; none at the end of the stream.

        Raises:
            BlockingIOError: there is nothing yet.
            OSError: EBADF, it is the write end, or closed.
        """
        if not self.is_reading or self.is_closed:
            raise os_error(errno.EBADF)
        content = self.pipe.content
        if not content and not self.other.is_closed:
            raise os_error(errno.EAGAIN)
        data = bytes(content[:length])
        del content[:length]
        self._note(_READ, data)
        if data:
            self.other.writers.wake()
        return data

    def write(self, data: Any) -> int:
        """How many bytes were taken.

        Raises:
            BlockingIOError: there is no room.
            BrokenPipeError: nothing holds the read end.
            OSError: EBADF, it is the read end, or closed.
        """
        if self.is_reading or self.is_closed:
            raise os_error(errno.EBADF)
        view = memoryview(data).cast("B")
        if self.other.is_closed:
            raise os_error(errno.EPIPE)
        room = self.pipe.room
        if not view:
            return 0
        if not room or (len(view) <= ATOMIC_BYTES and room < len(view)):
            raise os_error(errno.EAGAIN)
        taken = bytes(view[:room])
        self.pipe.content += taken
        self._note(_WRITE, taken)
        self.other.readers.wake()
        return len(taken)

    # Waiting.

    def is_readable(self) -> bool:
        """Whether a read would not wait; of the write end, whether the read end is gone, as epoll has it."""
        if self.is_reading:
            return bool(self.pipe.content) or self.other.is_closed
        return self.other.is_closed

    def is_writable(self) -> bool:
        """Whether a write would not wait."""
        return not self.is_reading and (self.pipe.room >= ATOMIC_BYTES or self.other.is_closed)

    def polled(self, events: int) -> int:
        """As `HeldEnd.polled`: that the other end is gone is told unasked, and as such."""
        found = super().polled(events)
        if not self.other.is_closed:
            return found
        if self.is_reading:
            return (found if self.pipe.content else found & ~select.POLLIN) | select.POLLHUP
        return found & ~select.POLLIN | select.POLLERR

    def awaited(self, readable: bool) -> str:
        """What lets a read, or a write, go on."""
        return "nothing comes through the pipe" if readable else "the pipe is full and nothing reads it"
