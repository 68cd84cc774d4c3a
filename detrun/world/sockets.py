"""A machine's sockets, as its operating system keeps them: non-blocking calls, and the tasks that wait for readiness.

`TcpSocket` and `UdpSocket` behave as Linux sockets in non-blocking mode do: an operation succeeds, raises the
``OSError`` of that case, or raises ``BlockingIOError``, after which `wait_readable` or `wait_writable` tells when it is
worth trying again. Two faces stand on them: `detrun.world.trio_sockets` for ``trio.socket``, and
`detrun.world.stdlib_sockets` for ``socket``.

Addresses are IPv4 only. Options are remembered and given back; ``SO_REUSEADDR`` and ``SO_REUSEPORT`` are heeded in
`bind`, all others change nothing.
"""

from __future__ import annotations

import errno
import socket as constants
from collections import deque
from typing import TYPE_CHECKING, Any

import outcome
import trio
from trio.lowlevel import Abort

from detrun.world.link import Link, Packet
from detrun.world.tcp import RECEIVE_BUFFER_BYTES, SEND_BUFFER_BYTES, Address, Connection, Handshake, os_error

if TYPE_CHECKING:
    from detrun.world.node import Node, Process

ANY = "0.0.0.0"
LOOPBACK = "127.0.0.1"
DATAGRAM_BYTES_MAX = 65_507
DATAGRAM_BUFFER_BYTES = 212_992
BACKLOG_MAX = 4096  # net.core.somaxconn
UDP_HEADER_BYTES = 28


class Waiters:
    """Tasks that wait for one kind of readiness of one socket; at most one, as trio has it."""

    __slots__ = ("task",)

    def __init__(self) -> None:
        self.task: Any = None

    def __bool__(self) -> bool:
        return self.task is not None

    def occupy(self, task: Any) -> None:
        """Let ``task`` wait here; it has yet to go to sleep."""
        if self.task is not None:
            raise trio.BusyResourceError("another task is already reading / writing this socket")
        self.task = task

    def leave(self) -> None:
        """The waiting task has been cancelled."""
        self.task = None

    def wake(self, error: BaseException | None = None) -> None:
        """Let the waiting task, if any, try again, or raise ``error`` there."""
        task, self.task = self.task, None
        if task is not None:
            trio.lowlevel.reschedule(task, outcome.Value(None) if error is None else outcome.Error(error))


class Socket:
    """What TCP and UDP sockets have in common: an owner, an address, options, a life."""

    kind = constants.SOCK_STREAM
    protocol = constants.IPPROTO_TCP

    def __init__(self, process: Process) -> None:
        self.process = process
        self.node: Node = process.node
        self.descriptor = self.node.world.network.new_descriptor()
        self.local: Address = (ANY, 0)
        self.remote: Address | None = None
        self.options: dict[tuple[int, int], Any] = {}
        self.is_bound = False
        self.is_closed = False
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

    def _check_open(self) -> None:
        if self.is_closed:
            raise os_error(errno.EBADF)

    # Addresses and options.

    def bind(self, address: Address) -> None:
        """Take a local address; port 0 means any free one.

        Raises:
            OSError: EINVAL (bound already), EADDRNOTAVAIL (not an address of this node), EADDRINUSE.
        """
        self._check_open()
        if self.is_bound:
            raise os_error(errno.EINVAL)
        host, port = checked_address(address, self.node)
        if host not in (ANY, self.node.address) and not host.startswith("127."):
            raise os_error(errno.EADDRNOTAVAIL)
        ports = self.node.ports[self.kind]
        if not port:
            port = ports.free_port()
        elif not ports.may_take(self, host, port):
            raise os_error(errno.EADDRINUSE)
        self.local = (host, port)
        self.is_bound = True
        ports.take(self, port)

    def _bind_for(self, remote: str) -> None:
        """Take the local address from which ``remote`` is reached, unless one was taken before."""
        if not self.is_bound:
            self.bind((ANY, 0))
        if self.local[0] == ANY:
            self.local = (LOOPBACK if remote.startswith("127.") else self.node.address, self.local[1])

    def option(self, level: int, name: int) -> Any:
        """The value of a socket option; 0 if it was never set."""
        self._check_open()
        if level == constants.SOL_SOCKET:
            if name == constants.SO_TYPE:
                return int(self.kind)
            if name == constants.SO_PROTOCOL:
                return int(self.protocol)
            if name == constants.SO_DOMAIN:
                return int(constants.AF_INET)
            if name == constants.SO_SNDBUF:
                return SEND_BUFFER_BYTES
            if name == constants.SO_RCVBUF:
                return RECEIVE_BUFFER_BYTES if self.kind == constants.SOCK_STREAM else DATAGRAM_BUFFER_BYTES
            if name == constants.SO_ERROR:
                return self.take_error()
        return self.options.get((level, name), 0)

    def set_option(self, level: int, name: int, value: Any) -> None:
        """Remember a socket option."""
        self._check_open()
        self.options[level, name] = value

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
            self.process.sockets.pop(self, None)
            if self.is_bound:
                self.node.ports[self.kind].give_back(self, self.local[1])
            self._released()

    def _released(self) -> None:
        raise NotImplementedError

    def vanish(self) -> None:
        """The process has been killed: as `close`, but nobody is left to be told."""
        self.readers.task = self.writers.task = None
        self.close()


def checked_address(address: Any, node: Node) -> Address:
    """``address`` as numbers.

    Raises:
        TypeError: it is not a pair.
        OSError: the host is neither numeric nor known.
    """
    if not isinstance(address, tuple) or len(address) != 2:
        raise TypeError(f"AF_INET address must be a pair (host, port), not {address!r}")
    host, port = address
    if not isinstance(port, int):
        raise TypeError(f"port must be an int, not {port!r}")
    if not 0 <= port <= 0xFFFF:
        raise OverflowError("bind(): port must be 0-65535.")
    if host == "":
        host = ANY
    return node.world.network.resolver.numeric_host(host, node), port


class TcpSocket(Socket):
    """A stream socket: new, listening, connecting or connected."""

    def __init__(self, process: Process) -> None:
        super().__init__(process)
        self.connection: Connection | None = None
        self.connecting = False
        self.is_listening = False
        self.backlog = 0
        self.half_open = 0  # handshakes begun and not completed
        self.accepted: deque[Connection] = deque()  # established, waiting for `accept`
        self.read_shut = False

    # Listening.

    def listen(self, backlog: int = 128) -> None:
        """Accept connections from now on, ``backlog`` of them ahead of `accept`."""
        self._check_open()
        if self.connection is not None:
            raise os_error(errno.EINVAL)
        if not self.is_bound:
            self.bind((ANY, 0))
        if not self.is_listening and not self.node.ports[self.kind].may_listen(self):
            raise os_error(errno.EADDRINUSE)
        self.is_listening = True
        self.backlog = max(1, min(backlog, BACKLOG_MAX))

    def has_backlog_room(self) -> bool:
        """Whether one more handshake may begin."""
        return len(self.accepted) + self.half_open <= self.backlog

    def established(self, connection: Connection) -> None:
        """A handshake is complete."""
        self.half_open -= 1
        if self.is_closed:
            connection.abort()
            return
        self.accepted.append(connection)
        self.readers.wake()

    def accept(self) -> tuple[TcpSocket, Address]:
        """The oldest connection that nobody has accepted."""
        self._check_open()
        if not self.is_listening:
            raise os_error(errno.EINVAL)
        if not self.accepted:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        connection = self.accepted.popleft()
        accepted = TcpSocket(self.process)
        accepted.connection = connection
        accepted.local, accepted.remote = connection.local, connection.remote
        connection.socket = accepted
        return accepted, connection.remote

    # Connecting.

    def connect(self, address: Address) -> None:
        """Begin to connect.

        Raises:
            BlockingIOError: always, if it could begin: the socket becomes writable when the attempt has ended.
            OSError: EISCONN, EALREADY, EHOSTUNREACH (no such address in this world).
        """
        self._check_open()
        if self.connecting:
            raise os_error(errno.EALREADY)
        if self.connection is not None or self.is_listening:
            raise os_error(errno.EISCONN)
        host, port = checked_address(address, self.node)
        if host == ANY:
            host = LOOPBACK
        network = self.node.world.network
        peer = network.node_at(host, self.node)
        if peer is None:
            raise os_error(errno.EHOSTUNREACH)
        self._bind_for(host)
        self.remote = (host, port)
        there, back = network.link(self.node, peer), network.link(peer, self.node)
        connection = self.connection = Connection(self.node, there, back, self.local, self.remote)
        connection.socket = self
        self.node.connections[connection] = None
        self.connecting = True
        there.send(Handshake(connection))
        raise BlockingIOError(errno.EINPROGRESS, "Operation now in progress")

    def connected(self) -> None:
        """The handshake is complete at this end."""
        self.connecting = False
        self.writers.wake()

    def take_error(self) -> int:
        """The pending error, which is thereby cleared."""
        connection = self.connection
        if connection is None:
            return 0
        number, connection.error = connection.error, 0
        if number and self.connecting:
            # A failed attempt leaves the socket as it was, except for its port.
            self.connecting = False
            self.connection = self.remote = None
        return number

    # Streams.

    def _stream(self) -> Connection:
        self._check_open()
        if self.connection is None or self.connecting:
            raise os_error(errno.ENOTCONN)
        return self.connection

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
        view = memoryview(data).cast("B")
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
        if connection.at_end or self.read_shut:
            return b""
        if connection.error:
            raise os_error(self.take_error())
        if connection.gone:
            return b""
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    def shutdown(self, how: int) -> None:
        """Close one direction or both; the socket stays open."""
        connection = self._stream()
        if connection.gone:
            raise os_error(errno.ENOTCONN)
        if how in (constants.SHUT_RD, constants.SHUT_RDWR):
            self.read_shut = True
            self.readers.wake()
        if how in (constants.SHUT_WR, constants.SHUT_RDWR):
            connection.finish()
            self.writers.wake()

    def is_readable(self) -> bool:
        """Whether bytes, the end of the stream, an error or a connection to accept is there."""
        if self.is_listening:
            return bool(self.accepted)
        connection = self.connection
        if connection is None:
            return True  # to be told ENOTCONN
        return bool(connection.inbox or connection.at_end or connection.gone or self.read_shut)

    def is_writable(self) -> bool:
        """Whether a write would be taken, or fail."""
        connection = self.connection
        if connection is None:
            return True
        if connection.error or connection.gone:
            return True
        if self.connecting:
            return False
        if connection.finishing or connection.has_room():
            return True
        connection.await_room()
        return False

    def _released(self) -> None:
        for waiting in self.accepted:
            waiting.abort()
        self.accepted.clear()
        if self.connection is not None:
            if self.connecting:
                self.connection.forget()
            self.connection.close()


class UdpSocket(Socket):
    """A datagram socket. What arrives while its buffer is full is lost, as in life."""

    kind = constants.SOCK_DGRAM
    protocol = constants.IPPROTO_UDP

    def __init__(self, process: Process) -> None:
        super().__init__(process)
        self.inbox: deque[tuple[bytes, Address]] = deque()
        self.inbox_bytes = 0
        self.error = 0

    def connect(self, address: Address) -> None:
        """Send to ``address`` from now on, and receive from there only."""
        self._check_open()
        host, port = checked_address(address, self.node)
        self._bind_for(host)
        self.remote = (host, port)

    def send(self, data: Any) -> int:
        """Send one datagram to the connected address."""
        if self.remote is None:
            self._check_open()
            raise os_error(errno.EDESTADDRREQ)
        return self.send_to(data, self.remote)

    def send_to(self, data: Any, address: Address) -> int:
        """Send one datagram; says nothing about its arrival.

        Raises:
            OSError: EMSGSIZE, EHOSTUNREACH, or ECONNREFUSED if an earlier datagram found nobody.
        """
        self._check_open()
        if self.error:
            raise os_error(self.take_error())
        payload = bytes(data)
        if len(payload) > DATAGRAM_BYTES_MAX:
            raise os_error(errno.EMSGSIZE)
        host, port = checked_address(address, self.node)
        if host == ANY:
            host = LOOPBACK
        network = self.node.world.network
        peer = network.node_at(host, self.node)
        if peer is None:
            raise os_error(errno.EHOSTUNREACH)
        if not self.is_bound:
            self.bind((ANY, 0))
        source = self.local
        if source[0] == ANY:
            source = (LOOPBACK if host.startswith("127.") else self.node.address, source[1])
        link = network.link(self.node, peer)
        link.send(Datagram(link, self, payload, source, (host, port)))
        return len(payload)

    def receive_from(self, size: int, peek: bool = False) -> tuple[bytes, Address]:
        """The oldest datagram, cut to ``size`` bytes, and where it came from."""
        self._check_open()
        if not self.inbox:
            if self.error:
                raise os_error(self.take_error())
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        payload, source = self.inbox[0]
        if not peek:
            self.inbox.popleft()
            self.inbox_bytes -= len(payload)
        return payload[:size], source

    def receive(self, size: int, peek: bool = False) -> bytes:
        """The oldest datagram, cut to ``size`` bytes."""
        return self.receive_from(size, peek)[0]

    def shutdown(self, how: int) -> None:
        """Nothing happens on a datagram socket, but it must be connected."""
        self.peer_address()

    def arrived(self, payload: bytes, source: Address) -> None:
        """A datagram has come."""
        if self.remote is not None and source != self.remote:
            return
        if self.inbox_bytes + len(payload) > DATAGRAM_BUFFER_BYTES:
            self.node.world.faults.count("receive buffer overflow")
            return
        self.inbox.append((payload, source))
        self.inbox_bytes += len(payload)
        self.readers.wake()

    def refused(self) -> None:
        """Nobody listens where a datagram was sent; a connected socket is told, as by ICMP."""
        if self.remote is not None and not self.is_closed:
            self.error = errno.ECONNREFUSED
            self.readers.wake()

    def take_error(self) -> int:
        """The pending error, which is thereby cleared."""
        number, self.error = self.error, 0
        return number

    def is_readable(self) -> bool:
        """Whether a datagram or an error is there."""
        return bool(self.inbox or self.error)

    def is_writable(self) -> bool:
        """Always: what does not fit is lost."""
        return True

    def _released(self) -> None:
        self.inbox.clear()


class Datagram(Packet):
    """One datagram on its way."""

    __slots__ = ("payload", "sender", "target", "writer")
    protocol = "udp"

    def __init__(self, link: Link, writer: UdpSocket, payload: bytes, sender: Address, target: Address) -> None:
        super().__init__(link, len(payload) + UDP_HEADER_BYTES)
        self.writer = writer
        self.payload = payload
        self.sender = sender
        self.target = target

    def deliver(self) -> None:
        found = self.destination.ports[constants.SOCK_DGRAM].find(self.target)
        if isinstance(found, UdpSocket):
            self.link.network.run.message_left(self.link)
            found.arrived(self.payload, self.sender)
        else:
            back = self.link.network.link(self.destination, self.source)
            back.send(Unreachable(back, self.writer))

    def copy(self) -> Packet:
        return Datagram(self.link, self.writer, self.payload, self.sender, self.target)

    def describe(self) -> str:
        return f"udp {self.sender[1]}->{self.target[1]} {len(self.payload)} bytes"


class Unreachable(Packet):
    """ICMP's answer to a datagram for a port where nobody listens."""

    __slots__ = ("writer",)
    protocol = "icmp"

    def __init__(self, link: Link, writer: UdpSocket) -> None:
        super().__init__(link, 2 * UDP_HEADER_BYTES)
        self.writer = writer

    def deliver(self) -> None:
        self.writer.refused()

    def copy(self) -> Packet:
        return Unreachable(self.link, self.writer)
