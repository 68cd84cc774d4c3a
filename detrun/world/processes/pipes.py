"""Pipes of a machine: two ends and the bytes between them, as Linux keeps them.

Invariant: what is read is what was written, in order; the read end sees the end of the stream once nothing holds the
write end any more, and a write fails with EPIPE once nothing holds the read end.

A pipe takes 65,536 bytes. A write of at most 4,096 is taken whole or not at all; a larger one may be taken in part. An
end is open for as long as a number means it in some process: `hold` and `let_go` count these. The methods do not wait:
they raise `BlockingIOError`, and `end_calls` lets the caller wait.

Source: pipe(7).
"""

from __future__ import annotations

import errno
import os
from typing import Any

import trio
from trio.lowlevel import Abort

from detrun.world.network.posix import os_error
from detrun.world.network.waiters import Waiters
from detrun.world.services import Services
from detrun.world.sockets.machine_sockets import STATUS
from detrun_scheduler.journal import OPERATIONS

CAPACITY_BYTES = 65_536
ATOMIC_BYTES = 4_096  # PIPE_BUF
_READ, _WRITE, _CLOSE = map(OPERATIONS.index, ("get", "put", "release"))


class Side:
    """Who has one end, and who waits for it: what the other end needs to know.

    Attributes:
        numbers: the descriptors that mean the end, each with how many processes have it.
    """

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self.readers = Waiters()
        self.writers = Waiters()

    @property
    def is_closed(self) -> bool:
        """Whether no process has it."""
        return not self.numbers


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


class PipeEnd:
    """One end. To selectors and event loops it looks like a simulated socket.

    Attributes:
        numbers: as its `Side` has them.
        flags: of the descriptor, by the command of ``fcntl`` that asks for them.
    """

    is_pipe = True

    def __init__(self, pipe: Pipe, *, is_reading: bool) -> None:
        self.pipe = pipe
        self.services = pipe.services
        self.is_reading = is_reading
        own, self.other = (pipe.reading, pipe.writing) if is_reading else (pipe.writing, pipe.reading)
        self.numbers, self.readers, self.writers = own.numbers, own.readers, own.writers
        self.flags: dict[int, int] = {}

    # Who has it.

    @property
    def is_closed(self) -> bool:
        """Whether no process has it."""
        return not self.numbers

    def new_number(self) -> int:
        """A number that means this end, and is held once."""
        number = self.services.new_descriptor(self)
        self.numbers[number] = 1
        return number

    def hold(self, number: int) -> None:
        """One more process has it under ``number``."""
        self.numbers[number] += 1

    def let_go(self, number: int) -> None:
        """A process has it under ``number`` no more."""
        self.numbers[number] -= 1
        if self.numbers[number]:
            return
        del self.numbers[number]
        self.services.release_descriptor(number)
        if self.numbers:
            return
        self._note(_CLOSE, b"")
        self.notify_closing()
        for waiters in (self.other.readers, self.other.writers):
            waiters.wake()
        if self.is_reading:
            self.pipe.content.clear()

    def _note(self, operation: int, value: bytes) -> None:
        run = self.services.run
        if run.threads is not None:  # otherwise the run is over
            run.operation_on(self.pipe.object, operation, value)

    # Bytes.

    @property
    def is_blocking(self) -> bool:
        """Whether calls wait."""
        return not self.flags.get(STATUS, 0) & os.O_NONBLOCK

    @is_blocking.setter
    def is_blocking(self, blocking: bool) -> None:
        kept = self.flags.get(STATUS, os.O_RDONLY if self.is_reading else os.O_WRONLY)
        self.flags[STATUS] = kept & ~os.O_NONBLOCK if blocking else kept | os.O_NONBLOCK

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

    async def wait_readable(self) -> None:
        """As ``trio.lowlevel.wait_readable``."""
        await _wait(self.readers, self.is_readable())

    async def wait_writable(self) -> None:
        """As ``trio.lowlevel.wait_writable``."""
        await _wait(self.writers, self.is_writable())

    def notify_closing(self) -> None:
        """Tell the tasks that wait that the end is being closed under them."""
        for waiters in (self.readers, self.writers):
            waiters.wake(trio.ClosedResourceError("another task closed this fd"))

    def awaited(self, readable: bool) -> str:
        """What lets a read, or a write, go on."""
        return "nothing comes through the pipe" if readable else "the pipe is full and nothing reads it"

    def waiting_report(self, function: str) -> str:
        """What a task waits for in ``wait_readable`` or ``wait_writable``, for reports of deadlocks."""
        return f"pipe.{function}: {self.awaited(function == 'wait_readable')}"


async def _wait(waiters: Waiters, is_ready: bool) -> None:
    if is_ready:
        await trio.lowlevel.checkpoint()
        return
    waiters.occupy(trio.lowlevel.current_task())

    def leave(_: object) -> Abort:
        waiters.leave()
        return Abort.SUCCEEDED

    await trio.lowlevel.wait_task_rescheduled(leave)
