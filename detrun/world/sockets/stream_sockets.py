"""TCP sockets: new, listening, connecting or connected; non-blocking, with Linux's errors."""

from __future__ import annotations

import errno
import select
import socket as constants
import struct
from typing import Any

from detrun.world.network.link import Link
from detrun.world.network.listener import Listener
from detrun.world.network.posix import TO_ITSELF, Address, os_error
from detrun.world.network.tcp import Connection
from detrun.world.network.tcp_handshake import Handshake
from detrun.world.network.tcp_outgoing import RECEIVE_BUFFER_BYTES, SEND_BUFFER_BYTES
from detrun.world.sockets.group_addresses import is_group
from detrun.world.sockets.machine_sockets import Socket, SocketOwner
from detrun.world.sockets.socket_options import TCP_DEFAULTS

BACKLOG_MAX = 4096  # net.core.somaxconn
_LINGER = (constants.SOL_SOCKET, getattr(constants, "SO_LINGER", 13))
_READ_SHUT: int = getattr(select, "POLLRDHUP", 0)
_LINGERS_NO_TIME = struct.pack("ii", 1, 0)


class TcpSocket(Socket):
    """A stream socket: new, listening, connecting or connected.

    Invariant: at most one of ``connection`` and ``listener`` is there; ``is_listening`` says whether the latter is.
    """

    send_buffer_bytes = SEND_BUFFER_BYTES
    receive_buffer_bytes = RECEIVE_BUFFER_BYTES
    option_defaults = TCP_DEFAULTS

    def __init__(self, process: SocketOwner, family: constants.AddressFamily = constants.AF_INET) -> None:
        super().__init__(process, family)
        self.connection: Connection | None = None
        self.listener: Listener[Connection] | None = None

    # Listening.

    def listen(self, backlog: int = 128) -> None:
        """Accept connections from now on, ``backlog`` of them ahead of `accept`."""
        self._check_open()
        if self.connection is not None:
            raise os_error(errno.EINVAL)
        self._prepare_to_listen()
        backlog = max(1, min(backlog, BACKLOG_MAX))
        if self.listener is None:
            self.listener = Listener(self.readers, backlog)
            self.is_listening = True
        self.listener.backlog = backlog

    def _prepare_to_listen(self) -> None:
        if not self.is_bound:
            self.bind((self.wildcard, 0))
        if not self.is_listening and not self.node.ports[self.kind].may_listen(self):
            raise os_error(errno.EADDRINUSE)

    def accept(self) -> tuple[TcpSocket, Address]:
        """The oldest connection that was not accepted yet."""
        self._check_open()
        if self.listener is None:
            raise os_error(errno.EINVAL)
        if not self.listener.accepted:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        connection = self.listener.accepted.popleft()
        accepted = type(self)(self.process, self.family)
        accepted.take(connection)
        return accepted, connection.remote

    def take(self, connection: Connection) -> None:
        """Be the socket of an established connection."""
        self.connection = connection
        self.local, self.remote = connection.local, connection.remote
        connection.attach(self.readers, self.writers)

    # Connecting.

    @property
    def connecting(self) -> bool:
        """Whether an attempt to connect is under way, or has failed and was not asked about."""
        return self.connection is not None and self.connection.connecting

    def peer_address(self) -> Address:
        """The address that the socket is connected to.

        Raises:
            OSError: ENOTCONN: not yet, or no longer.
        """
        if not self.is_closed and (self.connecting or self.connection is None or self.connection.has_ended):
            raise os_error(errno.ENOTCONN)
        return super().peer_address()

    def bind(self, address: Address) -> None:
        """As `Socket.bind`; EINVAL for a connected one, too."""
        if self.connection is not None:
            self._check_open()
            raise os_error(errno.EINVAL)
        super().bind(address)

    def connect(self, address: Address) -> None:
        """Begin to connect.

        Raises:
            BlockingIOError: always, if it could begin: the socket becomes writable when the attempt has ended. The
                next call then returns, or raises the attempt's error, once.
            OSError: EISCONN, EALREADY, EHOSTUNREACH (no such address in this world), ENETUNREACH (broadcast).
        """
        self._check_open()
        host, port = self._numeric(address)
        if self.connecting:
            raise os_error(self.take_error() or errno.EALREADY)
        if self.connection is not None and not self.connect_is_told and not self.connection.has_ended:
            self.connect_is_told = True
            return
        if self.connection is not None or self.is_listening:
            raise os_error(errno.EISCONN)
        host = TO_ITSELF.get(host, host)
        if is_group(host):
            raise os_error(errno.ENETUNREACH)
        peer = self.services.machine_at(host, self.node)
        if peer is None:
            raise os_error(errno.EHOSTUNREACH)
        self._bind_for(host)
        self.remote = (host, port)
        there, back = self.network.link(self.node, peer), self.network.link(peer, self.node)
        connection = self._connect_over(there, back)
        connection.connecting = True
        self.connect_is_told = False
        there.send(Handshake(connection, peer))
        raise BlockingIOError(errno.EINPROGRESS, "Operation now in progress")

    def _connect_over(self, there: Link, back: Link) -> Connection:
        """A connection of this socket over two links."""
        assert self.remote is not None
        connection = self.connection = Connection(self.node, self.services, there, back, self.local, self.remote)
        connection.attach(self.readers, self.writers)
        self.node.connections[connection] = None
        return connection

    def take_error(self) -> int:
        """The pending error, which is thereby cleared."""
        connection = self.connection
        if connection is None:
            return 0
        number, connection.error = connection.error, 0
        if number and connection.connecting:
            # A failed attempt leaves the socket as it was, except for its port.
            self.connection = self.remote = None
        return number

    # Streams.

    def _stream(self) -> Connection:
        self._check_open()
        connection = self.connection
        if connection is None or connection.connecting:
            raise os_error(errno.ENOTCONN)
        return connection

    def send(self, data: Any) -> int:
        """Queue a part of ``data``, at least one byte.

        Raises:
            BlockingIOError: the buffer is full.
            OSError: EPIPE (shut down, or gone before), the pending error, ENOTCONN.
        """
        if self.connection is None and not self.is_closed:
            raise os_error(errno.EPIPE)
        connection = self._stream()
        if connection.error:
            raise os_error(self.take_error())
        if connection.finishing or connection.gone:
            raise os_error(errno.EPIPE)
        with memoryview(data).cast("B") as view:  # a traceback that knew it would keep a bytearray from growing
            if not view:
                return 0
            taken = connection.send(view)
        if not taken:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return taken

    def receive(self, size: int, peek: bool = False) -> bytes:
        """Up to ``size`` bytes of those that have come; none at the end of the stream.

        Raises:
            BlockingIOError: nothing has come yet.
            OSError: the pending error, ENOTCONN.
        """
        connection = self._stream()
        if connection.inbox:
            return bytes(connection.inbox[:size]) if peek else connection.read(size)
        if connection.at_end:
            return b""
        if connection.error:
            raise os_error(self.take_error())
        if connection.gone or connection.read_shut:
            return b""
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    def shutdown(self, how: int) -> None:
        """Close one direction or both; the socket stays open. A listening one that is shut for reading listens no more.

        Raises:
            OSError: EINVAL (no such direction), ENOTCONN.
        """
        self._check_open()
        if how not in (constants.SHUT_RD, constants.SHUT_WR, constants.SHUT_RDWR):
            raise os_error(errno.EINVAL)
        if self.is_listening:
            if how != constants.SHUT_WR:
                self._stop_listening()
                self.readers.wake()
            return
        connection = self._stream()
        if connection.has_ended:
            raise os_error(errno.ENOTCONN)
        if how in (constants.SHUT_RD, constants.SHUT_RDWR):
            connection.read_shut = True
            self.readers.wake()
        if how in (constants.SHUT_WR, constants.SHUT_RDWR):
            connection.finish()
            self.writers.wake()

    def awaited(self, readable: bool) -> str:
        """What makes the socket readable, or writable."""
        local = f"{self.local[0]}:{self.local[1]}"
        if self.is_listening:
            return f"no connection comes to {local}"
        assert self.remote is not None, "a socket that is neither listening nor connected is ready"
        remote = f"{self.remote[0]}:{self.remote[1]}"
        if self.connecting:
            return f"no answer from {remote}"
        return f"no bytes come from {remote} to {local}" if readable else f"{remote} reads nothing from {local}"

    def is_readable(self) -> bool:
        """Whether bytes, the end of the stream, an error or a connection to accept is there."""
        if self.listener is not None:
            return bool(self.listener.accepted)
        connection = self.connection
        if connection is None:
            return True  # to be told ENOTCONN
        return bool(connection.inbox or connection.at_end or connection.gone or connection.read_shut)

    def is_writable(self) -> bool:
        """Whether a write would be taken, or fail."""
        connection = self.connection
        if connection is None:
            return True
        if connection.error or connection.gone:
            return True
        if connection.connecting:
            return False
        if connection.finishing or connection.has_room():
            return True
        connection.await_acknowledgement()
        return False

    def polled(self, events: int) -> int:
        """As `Socket.polled`: also an error, and which directions are shut."""
        found = super().polled(events)
        connection = self.connection
        if self.is_listening:
            return found & select.POLLIN
        if connection is None:
            return found & ~select.POLLIN | select.POLLHUP
        if connection.error:
            found |= select.POLLERR
        is_over = (connection.gone and not connection.connecting) or bool(connection.error)
        is_read_shut = is_over or connection.at_end or connection.read_shut
        if is_read_shut:
            found |= _READ_SHUT
        return found | select.POLLHUP if is_over or (is_read_shut and connection.finishing) else found

    def _stop_listening(self) -> None:
        if self.listener is not None:
            self.listener.is_closed = True
            for waiting in self.listener.accepted:
                waiting.abort()
            self.listener.accepted.clear()
            self.listener = None
            self.is_listening = False

    def _released(self) -> None:
        self._stop_listening()
        if self.connection is not None:
            if self.connection.connecting:
                self.connection.forget()
            if self.options.get(_LINGER) == _LINGERS_NO_TIME:
                self.connection.abort()  # what is buffered is dropped
            self.connection.close()
