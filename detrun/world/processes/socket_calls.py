"""What ``os`` and ``open`` do with the numbers of simulated sockets, as `end_calls` does with those of pipes."""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

from detrun.world.network.posix import os_error
from detrun.world.processes.end_calls import EndCalls, wait_until_ready
from detrun.world.sockets.machine_sockets import STATUS
from detrun.world.sockets.stdlib_sockets import SimulatedSocket
from detrun_scheduler.threads.calling import schedule_point

_MOST_BYTES = 2**30


class SocketCalls(EndCalls):
    """Calls about a simulated socket by its number."""

    mode = stat.S_IFSOCK | 0o777

    def __init__(self, process: Any, number: int, simulated: Any) -> None:
        super().__init__(process, number)
        self.simulated = simulated

    @property
    def flags(self) -> dict[int, int]:
        """Of the socket."""
        found: dict[int, int] = self.simulated.flags
        return found

    def waiting_bytes(self) -> int:
        """What has come; of a datagram socket the next datagram."""
        try:
            return len(self.simulated.receive(_MOST_BYTES, True))
        except OSError:
            return 0

    def is_open(self) -> bool:
        """Whether the socket is open."""
        return not self.simulated.is_closed

    def _attempt(self, name: str, readable: bool, operation: Any, *arguments: Any) -> Any:
        schedule_point()
        while True:
            try:
                return operation(*arguments)
            except BlockingIOError:
                if not self.get_blocking():
                    raise
            wait_until_ready(self.simulated, name, readable=readable)

    def read(self, length: int, /) -> bytes:
        """As `os.read`."""
        return bytes(self._attempt("os.read", True, self.simulated.receive, length))

    def write(self, data: Any, /) -> int:
        """As `os.write`."""
        return int(self._attempt("os.write", False, self.simulated.send, data))

    def close(self) -> None:
        """As `os.close`."""
        SimulatedSocket(simulated=self.simulated).close()

    def dup(self) -> int:
        """As `os.dup`; a simulated socket has one number for all."""
        self.simulated.hold(self._process)
        return self.number

    def get_blocking(self) -> bool:
        """As `os.get_blocking`; an object of `socket` keeps a flag of its own."""
        return not self.simulated.flags.get(STATUS, 0) & os.O_NONBLOCK

    def set_blocking(self, blocking: bool, /) -> None:
        """As `os.set_blocking`."""
        kept = self.simulated.flags.get(STATUS, os.O_RDWR)
        self.simulated.flags[STATUS] = kept & ~os.O_NONBLOCK if blocking else kept | os.O_NONBLOCK


class SocketCallsOfStream(SocketCalls):
    """A standard stream that is a simulated socket, of which the process has one more descriptor."""

    def __init__(self, process: Any, simulated: Any) -> None:
        super().__init__(process, int(simulated.descriptor), simulated)
        give_socket(process, simulated)
        self._is_open = True

    def is_open(self) -> bool:
        """Whether the process still has the descriptor."""
        return self._is_open and super().is_open()

    def close(self) -> None:
        """As `os.close`."""
        if not self._is_open:
            raise os_error(errno.EBADF)
        self._is_open = False
        super().close()


def give_socket(process: Any, simulated: Any) -> None:
    """Let a process have a socket, too."""
    simulated.hold(process)
    process.sockets[simulated] = None
