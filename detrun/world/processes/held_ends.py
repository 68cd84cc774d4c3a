"""`HeldEnd`: what a descriptor means that is neither a file nor a socket, and which processes have it.

It is open for as long as a number means it in some process: `hold` and `let_go` count these. To selectors and event
loops it looks like a simulated socket.
"""

from __future__ import annotations

import os
import select

import trio
from trio.lowlevel import Abort

from detrun.world.network.waiters import Waiters
from detrun.world.services import Services
from detrun.world.sockets.machine_sockets import STATUS


class Side:
    """Who has one end, and who waits for it: what the other end of a pipe needs to know.

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


class HeldEnd:
    """One end.

    Args:
        services: of the world.
        side: who has it.
        access: O_RDONLY, O_WRONLY or O_RDWR.

    Attributes:
        flags: of the descriptor, by the command of ``fcntl`` that asks for them.
    """

    is_pipe = True  # what makes it ready is another thread or process, which goes on while an event loop is blocked
    kind = "pipe"  # for reports

    def __init__(self, services: Services, side: Side, access: int) -> None:
        self.services = services
        self.numbers, self.readers, self.writers = side.numbers, side.readers, side.writers
        self.flags = {STATUS: access}

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

    def take_number(self, number: int) -> None:
        """Be what ``number`` means, which has just been closed."""
        self.services.host.sockets[number] = self
        self.numbers[number] = 1

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
        if not self.numbers:
            self._released()

    def _released(self) -> None:
        """No process has it any more."""
        self.notify_closing()

    @property
    def is_blocking(self) -> bool:
        """Whether calls wait."""
        return not self.flags[STATUS] & os.O_NONBLOCK

    @is_blocking.setter
    def is_blocking(self, blocking: bool) -> None:
        kept = self.flags[STATUS]
        self.flags[STATUS] = kept & ~os.O_NONBLOCK if blocking else kept | os.O_NONBLOCK

    # Waiting.

    def is_readable(self) -> bool:
        """Whether a read would not wait."""
        raise NotImplementedError

    def is_writable(self) -> bool:
        """Whether a write would not wait."""
        raise NotImplementedError

    def polled(self, events: int) -> int:
        """Of ``events``, what ``poll`` says of the end, and what it says unasked."""
        readable = select.POLLIN if events & select.POLLIN and self.is_readable() else 0
        return readable | (select.POLLOUT if events & select.POLLOUT and self.is_writable() else 0)

    def awaited(self, readable: bool) -> str:
        """What lets a read, or a write, go on."""
        raise NotImplementedError

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

    def waiting_report(self, function: str) -> str:
        """What a task waits for in ``wait_readable`` or ``wait_writable``, for reports of deadlocks."""
        return f"{self.kind}.{function}: {self.awaited(function == 'wait_readable')}"


async def _wait(waiters: Waiters, is_ready: bool) -> None:
    if is_ready:
        await trio.lowlevel.checkpoint()
        return
    waiters.occupy(trio.lowlevel.current_task())

    def leave(_: object) -> Abort:
        waiters.leave()
        return Abort.SUCCEEDED

    await trio.lowlevel.wait_task_rescheduled(leave)
