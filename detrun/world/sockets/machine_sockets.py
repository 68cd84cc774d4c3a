"""A machine's sockets, as its operating system keeps them: non-blocking calls, and the tasks that wait for readiness.

The sockets of `stream_sockets` and `datagram_sockets` behave as Linux sockets in non-blocking mode do: an operation
succeeds, raises the ``OSError`` of that case, or raises ``BlockingIOError``, after which `wait_readable` or
`wait_writable` tells when it is worth trying again. Two faces stand on them: `stdlib_sockets` for ``socket``, and on
top of it `trio_sockets` for ``trio.socket``.

Addresses are IPv4 or IPv6; a socket of the latter kind takes both unless ``IPV6_V6ONLY`` is set. Options are remembered
and given back; that one, ``SO_REUSEADDR``, ``SO_REUSEPORT``, ``SO_RCVTIMEO`` and ``SO_SNDTIMEO`` are heeded, and of
datagram sockets those of `group_addresses` and `ancillary_data`. All others change nothing.
"""

from __future__ import annotations

import errno
import os
import select
import socket as constants
import struct
from collections.abc import Mapping
from operator import index
from typing import Any, Protocol

import trio
from trio.lowlevel import Abort

from detrun.world.network.network import Network
from detrun.world.network.posix import (
    ANY,
    ANY6,
    LOOPBACK,
    LOOPBACK6,
    TO_ITSELF,
    Address,
    check_flow,
    is_loopback,
    os_error,
)
from detrun.world.network.tcp_handshake import ListeningMachine
from detrun.world.network.waiters import Waiters
from detrun.world.services import Services
from detrun.world.sockets.ports import Ports
from detrun.world.sockets.socket_options import SOCKET_DEFAULTS
from detrun.world.sockets.socket_options import check as check_option

_RECEIVE_LIMIT, _SEND_LIMIT = getattr(constants, "SO_RCVTIMEO", -1), getattr(constants, "SO_SNDTIMEO", -1)
_TIMEVAL = struct.Struct("ll")  # struct timeval
_IPV6_ONLY = (constants.IPPROTO_IPV6, constants.IPV6_V6ONLY)


class SocketMachine(ListeningMachine, Protocol):
    """A machine as its sockets see it."""

    @property
    def ports(self) -> Mapping[int, Ports[Any]]:
        """Kind of socket -> the ports of its protocol."""

    @property
    def unix_names(self) -> dict[str | bytes, Any]:
        """Absolute path or abstract name -> the Unix socket that took it."""


# The flags of a descriptor, by the commands of ``fcntl`` that ask for them, F_GETFD and F_GETFL.
DESCRIPTOR_FLAGS, STATUS = 1, 3
CLOSE_ON_EXEC = 1  # FD_CLOEXEC
NONBLOCKING: int = getattr(os, "O_NONBLOCK", 0)


class SocketOwner(Protocol):
    """A process as its sockets see it."""

    sockets: dict[Any, None]
    standard: dict[int, Any]
    is_driver: bool

    @property
    def node(self) -> SocketMachine:
        """The machine that it runs on."""

    @property
    def services(self) -> Services:
        """Those of its world."""

    @property
    def network(self) -> Network:
        """That of its world."""


class Socket:
    """What TCP and UDP sockets have in common: an owner, an address, options, a life."""

    kind = constants.SOCK_STREAM
    protocol: int = constants.IPPROTO_TCP
    send_buffer_bytes = 0
    receive_buffer_bytes = 0
    option_defaults: Mapping[tuple[int, int], int | bytes] = SOCKET_DEFAULTS  # other than 0, by level and name

    is_listening = False  # overridden by the sockets that can
    connect_is_told = True  # `connect` has said how the attempt ended, or a blocking one has waited for it

    def __init__(self, process: SocketOwner, family: constants.AddressFamily = constants.AF_INET) -> None:
        self.process = process
        self.family = family
        self.node = process.node
        self.services = process.services
        self.network = process.network
        self.descriptor = self.services.new_descriptor(self)
        self.local: Address = (self.wildcard, 0)
        self.remote: Address | None = None
        self.options: dict[tuple[int, int], Any] = {}
        self.flags: dict[int, int] = {}  # of its descriptor, by the command of ``fcntl`` that asks for them
        self.is_bound = False
        self.is_closed = False
        # How many objects stand for it, descriptors of one socket: by the process that has them, or what passes one on.
        self.holders: dict[Any, int] = {process: 1}
        self.readers = Waiters()
        self.writers = Waiters()
        process.sockets[self] = None

    # Waiting.

    async def wait_readable(self) -> None:
        """Return when a read, or an accept, is worth trying."""
        self._check_open()
        if self.is_readable():
            await trio.lowlevel.checkpoint()
            return
        waiters = self.readers
        waiters.occupy(trio.lowlevel.current_task())

        def leave(_: object) -> Abort:
            waiters.leave()
            return Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(leave)

    async def wait_writable(self) -> None:
        """Return when a write is worth trying, or a connection attempt has ended."""
        self._check_open()
        if self.is_writable():
            await trio.lowlevel.checkpoint()
            return
        waiters = self.writers
        waiters.occupy(trio.lowlevel.current_task())

        def leave(_: object) -> Abort:
            waiters.leave()
            return Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(leave)

    def waiting_report(self, function: str) -> str:
        """What a task waits for in ``wait_readable`` or ``wait_writable``, for reports of deadlocks."""
        return f"{type(self).__name__}.{function}: {self.awaited(function == 'wait_readable')}"

    def awaited(self, readable: bool) -> str:
        """What makes the socket readable, or writable."""
        raise NotImplementedError

    def notify_closing(self) -> None:
        """Tell the tasks that wait that the socket is being closed under them."""
        for waiters in (self.readers, self.writers):
            waiters.wake(trio.ClosedResourceError("another task closed this fd"))

    def is_readable(self) -> bool:
        """Whether a read would not block."""
        raise NotImplementedError

    def is_writable(self) -> bool:
        """Whether a write would not block."""
        raise NotImplementedError

    def polled(self, events: int) -> int:
        """Of ``events``, what ``poll`` says of the socket, and what it says unasked."""
        readable = select.POLLIN if events & select.POLLIN and self.is_readable() else 0
        return readable | (select.POLLOUT if events & select.POLLOUT and self.is_writable() else 0)

    def _check_open(self) -> None:
        if self.is_closed:
            raise os_error(errno.EBADF)

    # Addresses and options.

    def shown(self, address: Address) -> Any:
        """An address as the standard library's socket gives it to the program."""
        if self.family != constants.AF_INET6:
            return address
        host, port = address
        return (host if ":" in host else f"::ffff:{host}", port, 0, 0)

    def source_shown(self, source: Address) -> Any:
        """As `shown`, of the sender of a datagram."""
        return self.shown(source)

    @property
    def wildcard(self) -> str:
        """Every address of its family."""
        return ANY6 if self.family == constants.AF_INET6 else ANY

    @property
    def is_ipv6_only(self) -> bool:
        """Whether its IPv6 wildcard leaves IPv4 addresses out."""
        return bool(self.options.get(_IPV6_ONLY, 0))

    def bind(self, address: Address) -> None:
        """Take a local address; port 0 means any free one.

        Raises:
            OSError: EINVAL (bound already), EADDRNOTAVAIL (not an address of this node), EADDRINUSE.
        """
        self._check_open()
        if self.is_bound:
            raise os_error(errno.EINVAL)
        host, port = self._numeric(address)
        if not self._may_bind(host):
            raise os_error(errno.EADDRNOTAVAIL)
        ports = self.node.ports[self.kind]
        if not port:
            port = ports.free_port()
        elif not ports.may_take(self, host, port):
            raise os_error(errno.EADDRINUSE)
        self.local = (host, port)
        self.is_bound = True
        ports.take(self, port)

    def _may_bind(self, host: str) -> bool:
        return host in (ANY, ANY6, self.node.address, self.node.address6) or is_loopback(host)

    def _bind_for(self, remote: str) -> None:
        """Take the local address from which ``remote`` is reached, unless one was taken before."""
        if not self.is_bound:
            self.bind((self.wildcard, 0))
        self.local = self._source(remote)

    def _source(self, remote: str) -> Address:
        """The local address from which ``remote`` is reached."""
        host, port = self.local
        if host not in TO_ITSELF:
            return self.local
        if ":" in remote:
            return (LOOPBACK6 if remote == LOOPBACK6 else self.node.address6), port
        return (LOOPBACK if remote.startswith("127.") else self.node.address), port

    def parsed(self, address: Any) -> Any:
        """``address`` as the machine's tables have it; errors as `_numeric`'s."""
        return self._numeric(address)

    def _numeric(self, address: Any) -> Address:
        """``address`` with its host as a number; names are resolved, as the standard library does.

        Raises:
            TypeError: it is not a pair of a text and an int.
            OverflowError: the port, or IPv6's flow label, is out of range.
            OSError: the host is neither numeric nor known.
        """
        if not isinstance(address, tuple) or not 2 <= len(address) <= (4 if self.family == constants.AF_INET6 else 2):
            words = "(host, port)" if self.family == constants.AF_INET else "(host, port[, flowinfo[, scope]])"
            shown = repr(address) if isinstance(address, tuple) else type(address).__name__
            raise TypeError(f"{self.family.name} address must be a tuple {words}, not {shown}")
        host, port = address[:2]
        port = index(port)
        if not 0 <= port <= 0xFFFF:
            raise OverflowError("bind(): port must be 0-65535.")
        check_flow(address)
        return self.network.resolver.numeric_host(self.wildcard if host == "" else host, self.family), port

    def resolve(self, host: str) -> str:
        """The address of ``host``, which may be one already.

        Raises:
            socket.gaierror: there is no such host.
        """
        return self.network.resolver.resolve(host, self.family)

    def option(self, level: int, name: int) -> Any:
        """The value of a socket option; that of ``option_defaults``, or 0, if it was never set.

        Raises:
            OSError: ENOPROTOOPT, the level of sockets has none of this number.
        """
        self._check_open()
        check_option(level, name)
        if level == constants.SOL_SOCKET:
            if name == constants.SO_TYPE:
                return int(self.kind)
            if name == constants.SO_PROTOCOL:
                return int(self.protocol)
            if name == constants.SO_DOMAIN:
                return int(self.family)
            if name in (constants.SO_SNDBUF, constants.SO_RCVBUF):
                return self.send_buffer_bytes if name == constants.SO_SNDBUF else self.receive_buffer_bytes
            if name == constants.SO_ERROR:
                return self.take_error()
        return self.options.get((level, name), self.option_defaults.get((level, name), 0))

    def set_option(self, level: int, name: int, value: Any) -> None:
        """Remember a socket option; errors as `option`'s."""
        self._check_open()
        check_option(level, name)
        self.options[level, name] = value

    def time_limit(self, readable: bool) -> float | None:
        """Seconds that a blocking call may take, by ``SO_RCVTIMEO`` or ``SO_SNDTIMEO``; None for no limit."""
        value = self.options.get((constants.SOL_SOCKET, _RECEIVE_LIMIT if readable else _SEND_LIMIT))
        if not isinstance(value, bytes) or len(value) < _TIMEVAL.size:
            return None
        seconds, microseconds = _TIMEVAL.unpack_from(value)
        return float(seconds + microseconds / 1e6) or None

    def has_option(self, name: int) -> bool:
        """Whether a flag of the socket level is set."""
        return bool(self.options.get((constants.SOL_SOCKET, name), 0))

    def take_error(self) -> int:
        """The pending error, which is thereby cleared."""
        raise NotImplementedError

    def peer_address(self) -> Address:
        """The address that the socket is connected to.

        Raises:
            OSError: ENOTCONN.
        """
        self._check_open()
        if self.remote is None:
            raise os_error(errno.ENOTCONN)
        return self.remote

    def close(self) -> None:
        """Give the socket back to the operating system. May be called again."""
        if not self.is_closed:
            self.is_closed = True
            self.notify_closing()
            for one in (self.process, *self.holders):
                getattr(one, "sockets", {}).pop(self, None)
            self.services.release_descriptor(self.descriptor)
            if self.is_bound:
                self._give_name_back()
            self._released()

    def _give_name_back(self) -> None:
        self.node.ports[self.kind].give_back(self, self.local[1])

    def _released(self) -> None:
        raise NotImplementedError

    def hold(self, holder: Any) -> None:
        """One more object stands for it."""
        self.holders[holder] = self.holders.get(holder, 0) + 1

    def let_go(self, holder: Any) -> None:
        """An object stands for it no more; the last one closes it."""
        if self.is_closed:
            return
        if holder not in self.holders:
            holder = next(iter(self.holders))  # it was accepted by another process than has the listening socket
        self.holders[holder] -= 1
        if not self.holders[holder]:
            del self.holders[holder]
        if not self.holders:
            self.close()

    def vanish(self, process: Any) -> None:
        """A process has been killed: as `close` unless others have the socket, too, but no task is left to be told."""
        self.holders.pop(process, None)
        if self.holders and not self.is_closed:
            process.sockets.pop(self, None)
            if self.process is process:
                self.process = next((one for one in self.holders if hasattr(one, "sockets")), process)
            return
        self.readers.vanish()
        self.writers.vanish()
        self.close()
