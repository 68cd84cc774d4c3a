"""What an event loop of asyncio does to the world outside it: sockets of a simulated network, and nothing else.

Streams, transports, servers, datagram endpoints and the ``sock_`` methods are asyncio's code over simulated sockets,
of an open world or else of a machine by itself (`localhost`). Pipes, processes and signal handlers are refused by
name, with the way out.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, NoReturn

from detrun_scheduler.environment.hidden_state import refuse
from detrun_scheduler.errors import HiddenStateError
from detrun_scheduler.threads.localhost import open_for

_NETWORK = (
    "real sockets are not deterministic; run it on the nodes of a detrun.World, whose network is simulated, connect "
    "tasks by asyncio.Queue, or do the I/O outside the run"
)
_PIPE = "pipes of the operating system are not deterministic; connect tasks by asyncio.Queue or a port of 127.0.0.1"
_PROCESS = "other processes are not deterministic; start it outside the run and pass in what it printed"
_SIGNAL = "no signal arrives in a run; call the handler from a task"


class SignalsRefusedError(HiddenStateError, NotImplementedError):
    """A signal handler, refused; programs that go on without on Windows go on without here."""


class ChildWatchersRefusedError(HiddenStateError, NotImplementedError):
    """A watcher of child processes, refused; policies of platforms without one raise `NotImplementedError`, too."""


def refuse_child_watcher(called: str) -> NoReturn:
    """Say that ``called``, a function of asyncio, is refused."""
    raise ChildWatchersRefusedError(f"{called} inside a run: {_PROCESS}")


class Outside:
    """The methods of an event loop that reach out of the process."""

    run: Any
    _internal_fds: int

    def _make_self_pipe(self) -> None:
        self._internal_fds += 1

    def _close_self_pipe(self) -> None:
        self._internal_fds -= 1

    def _write_to_self(self) -> None:
        """No selector waits."""

    def add_signal_handler(self, sig: Any, callback: Callable[..., Any], *args: Any) -> NoReturn:
        """Refused."""
        raise SignalsRefusedError(f"loop.add_signal_handler inside a run: {_SIGNAL}")

    def remove_signal_handler(self, sig: Any) -> bool:
        """There are none."""
        return False

    # Names are looked up at once: asyncio asks the operating system in a thread, since its answer may take long.

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        """As ``socket.getaddrinfo``."""
        self._check_network("loop.getaddrinfo")
        await asyncio.sleep(0)
        return socket.getaddrinfo(host, port, family, type, proto, flags)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> Any:
        """As ``socket.getnameinfo``."""
        self._check_network("loop.getnameinfo")
        await asyncio.sleep(0)
        return socket.getnameinfo(sockaddr, flags)

    async def _sock_sendfile_native(self, *args: Any) -> NoReturn:
        """A simulated socket has no file descriptor to which the operating system could copy."""
        raise asyncio.SendfileNotAvailableError("os.sendfile() is not available for simulated sockets")

    def _check_network(self, called: str) -> None:
        if not open_for(self.run):
            refuse(called, _NETWORK)


def _networked(name: str, called: str) -> Any:
    async def networked(self: Any, *args: Any, **options: Any) -> Any:
        self._check_network(called)
        return await getattr(super(Outside, self), name)(*args, **options)

    networked.__name__ = networked.__qualname__ = name
    return networked


def _refused(name: str, called: str, way_out: str) -> Any:
    async def refused(self: Any, *args: Any, **options: Any) -> None:
        refuse(called, way_out)

    refused.__name__ = refused.__qualname__ = name
    return refused


for _name, _called in {
    "create_connection": "asyncio.open_connection",
    "create_server": "asyncio.start_server",
    "create_datagram_endpoint": "loop.create_datagram_endpoint",
    "create_unix_connection": "asyncio.open_unix_connection",
    "create_unix_server": "asyncio.start_unix_server",
}.items():
    setattr(Outside, _name, _networked(_name, _called))
for _name, _called, _way_out in (
    ("connect_read_pipe", "loop.connect_read_pipe", _PIPE),
    ("connect_write_pipe", "loop.connect_write_pipe", _PIPE),
    ("subprocess_shell", "asyncio.create_subprocess_shell", _PROCESS),
    ("subprocess_exec", "asyncio.create_subprocess_exec", _PROCESS),
):
    setattr(Outside, _name, _refused(_name, _called, _way_out))
