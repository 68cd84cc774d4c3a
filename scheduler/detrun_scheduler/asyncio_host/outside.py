"""What an event loop of asyncio reaches outside itself: sockets, pipes, subprocesses and signals, all simulated.

Streams, transports, servers, datagram endpoints and the ``sock_`` methods are asyncio's code over simulated sockets.
The network is that of an open world, or else that of one machine by itself (`localhost`). Pipes and subprocesses are
simulated as well. A thread waits for the end of a subprocess, as in asyncio where the system offers nothing better.

Signal handlers are those of the simulated process in which the loop runs. Outside such a process they are refused by
name, with the way out.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, NoReturn
from weakref import WeakSet

from detrun_scheduler.asyncio_host.private import CLIENTS
from detrun_scheduler.environment import process_names
from detrun_scheduler.environment.hidden_state import refuse
from detrun_scheduler.errors import HiddenStateError
from detrun_scheduler.threads.localhost import open_for
from detrun_scheduler.trio_host.ordered import OrderedWeakSet

_NETWORK = (
    "real sockets are not deterministic; run it on the nodes of a detrun.World, whose network is simulated, connect "
    "tasks by asyncio.Queue, or do the I/O outside the run"
)
_SIGNAL = (
    "signals reach the processes of nodes only; run it on a node of a detrun.World, or call the handler from a task"
)


class SignalsRefusedError(HiddenStateError, NotImplementedError):
    """A signal handler, refused; programs that go on without on Windows go on without here."""


class Outside:
    """The methods of an event loop that reach out of the process."""

    run: Any
    subprocesses: Any
    _internal_fds: int
    _closed: bool
    _signal_handlers: dict[int, Any]
    _check_signal: Any
    _check_closed: Any
    call_soon_threadsafe: Any

    def _make_self_pipe(self) -> None:
        self._internal_fds += 1

    def _close_self_pipe(self) -> None:
        self._internal_fds -= 1

    def _write_to_self(self) -> None:
        """No selector waits."""

    def add_signal_handler(self, sig: Any, callback: Callable[..., Any], *args: Any) -> None:
        """Queue ``callback(*args)`` when the signal has come to the loop's process.

        Raises:
            NotImplementedError: the loop runs in no simulated process.
            TypeError, ValueError: as asyncio's.
        """
        if asyncio.iscoroutine(callback) or asyncio.iscoroutinefunction(callback):
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        self._check_signal(sig)
        self._check_closed()
        add = process_names.simulated("add_queued_handler")
        if add is None:
            raise SignalsRefusedError(f"loop.add_signal_handler inside a run: {_SIGNAL}")
        add(sig, lambda: None if self._closed else self.call_soon_threadsafe(callback, *args))
        self._signal_handlers[sig] = callback

    def remove_signal_handler(self, sig: Any) -> bool:
        """Whether there was one."""
        self._check_signal(sig)
        if self._signal_handlers.pop(sig, None) is None:
            return False
        remove = process_names.simulated("remove_queued_handler")
        if remove is not None:
            remove(sig)
        return True

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

    async def _make_subprocess_transport(self, *args: Any, **options: Any) -> Any:
        made = await super()._make_subprocess_transport(*args, **options)  # type: ignore[misc]  # of asyncio's loop
        self.subprocesses.add(made)
        return made

    def _start_serving(self, factory: Any, sock: Any, context: Any = None, server: Any = None, *rest: Any) -> None:
        # Of Python 3.13 and later: transports, which `close_clients` closes, by address.
        if type(getattr(server, CLIENTS, None)) is WeakSet:
            setattr(server, CLIENTS, OrderedWeakSet())
        super()._start_serving(factory, sock, context, server, *rest)  # type: ignore[misc]  # of asyncio's loop

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


for _name, _called in {
    "create_connection": "asyncio.open_connection",
    "create_server": "asyncio.start_server",
    "create_datagram_endpoint": "loop.create_datagram_endpoint",
    "create_unix_connection": "asyncio.open_unix_connection",
    "create_unix_server": "asyncio.start_unix_server",
    "connect_read_pipe": "loop.connect_read_pipe",
    "connect_write_pipe": "loop.connect_write_pipe",
    "subprocess_shell": "asyncio.create_subprocess_shell",
    "subprocess_exec": "asyncio.create_subprocess_exec",
}.items():
    setattr(Outside, _name, _networked(_name, _called))
