"""Unix sockets of a machine: streams and datagrams between its own programs, by path or abstract name.

A name belongs to the machine whose code takes it. As in life a path stays when its socket is closed or its process
dies, until it is unlinked: who connects to it then is refused, and who binds to it again finds it in use. It is gone
after a power loss, as what is in ``/run``. ``os.stat``, ``os.unlink`` and ``os.chmod`` know such paths
(`patched_sockets`); a listing of a directory does not.

Nothing is lost on the way. A stream is a TCP connection over the loopback, made at once; its backlog has no end. A
datagram is there when it has been sent, and no buffer is ever full. Descriptors are passed (`passed_descriptors`), and
credentials are not.

Source: unix(7).
"""

from __future__ import annotations

import errno
import os
import select
import socket as constants
import stat
from itertools import count
from typing import Any

from detrun.world.network.posix import Address, os_error
from detrun.world.network.tcp import Connection
from detrun.world.sockets.datagram_sockets import UdpSocket
from detrun.world.sockets.machine_sockets import Socket, SocketOwner
from detrun.world.sockets.passed_descriptors import Carrying, Passed, PassedInStream, drop
from detrun.world.sockets.stream_sockets import TcpSocket
from detrun.world.sockets.unix_names import Name, key_of, name_of, recorded

AF_UNIX = getattr(constants, "AF_UNIX", constants.AddressFamily(1))
UNNAMED: Address = ("", "")
_RECORDED_SINCE = 9  # of `THREAD_RULES`


class _Named(Socket):
    """What both kinds have in common: a name instead of host and port."""

    protocol = 0

    def __init__(self, process: SocketOwner, family: constants.AddressFamily = AF_UNIX) -> None:
        super().__init__(process, family)
        self.local = UNNAMED

    def shown(self, address: Address) -> Any:
        """The name."""
        return address[1]

    def parsed(self, address: Any) -> Any:
        """See `name_of`."""
        return name_of(address)

    def bind(self, address: Any) -> None:
        """Take a name; the empty one means a free abstract one.

        Raises:
            OSError: EINVAL (bound already), EADDRINUSE (of a socket, or a file), ENOENT (outside a node: no folder).
        """
        self._check_open()
        name = name_of(address)
        if self.is_bound:
            raise os_error(errno.EINVAL)
        if not name:
            name = next(free for number in count() if (free := b"\0%05x" % number) not in self.node.unix_names)
        if self._is_file(name) or key_of(name) in self.node.unix_names:
            raise os_error(errno.EADDRINUSE)
        # On a node any folder will do: those of a machine, as ``/run``, are not on its disk.
        if isinstance(name, str) and self.process.is_driver and not os.path.isdir(os.path.dirname(key_of(name))):
            raise os_error(errno.ENOENT)
        self.node.unix_names[key_of(name)] = self
        self.local, self.is_bound = ("", name), True

    def _is_file(self, name: Name) -> bool:
        """Whether there is a file of this name. Sockets of the real machine are none: the run does not see them."""
        if not isinstance(name, str) or not os.path.lexists(name):
            return False
        return not (self.process.is_driver and stat.S_ISSOCK(os.lstat(name).st_mode))

    def _give_name_back(self) -> None:
        name = self.local[1]
        if isinstance(name, bytes):  # a path stays
            self.node.unix_names.pop(name, None)

    def _found(self, address: Any) -> Any:
        """The open socket of a name.

        Raises:
            OSError: ENOENT, ECONNREFUSED, EPROTOTYPE.
        """
        name = name_of(address)
        found = self.node.unix_names.get(key_of(name))
        if found is None:
            is_refused = isinstance(name, bytes) or not name or self._is_file(name)
            raise os_error(errno.ECONNREFUSED if is_refused else errno.ENOENT)
        if found.is_closed:
            raise os_error(errno.ECONNREFUSED)
        if found.kind != self.kind:
            raise os_error(errno.EPROTOTYPE)
        return found


class UnixStreamSocket(_Named, TcpSocket):
    """A stream socket with a name."""

    def bind(self, address: Any) -> None:
        """As `_Named.bind`."""
        if self.connection is not None:
            self._check_open()
            raise os_error(errno.EINVAL)
        super().bind(address)

    def _prepare_to_listen(self) -> None:
        if not self.is_bound:
            raise os_error(errno.EINVAL)

    def connect(self, address: Any) -> None:
        """Connect, at once.

        Raises:
            OSError: ENOENT, ECONNREFUSED, EPROTOTYPE, EISCONN.
        """
        self._check_open()
        found = self._found(address)
        if self.connection is not None:
            raise os_error(errno.EISCONN)
        if self.is_listening:
            raise os_error(errno.EINVAL)
        listener = found.listener
        if listener is None:
            raise os_error(errno.ECONNREFUSED)
        listener.accepted.append(_connect(self, found.local))
        listener.readers.wake()

    def send(self, data: Any) -> int:
        """As `TcpSocket.send`."""
        sent = super().send(data)
        peer = self._peer_connection()
        if peer is not None:
            peer.passed.sent += sent
        return sent

    def _peer_connection(self) -> Any:
        return None if self.connection is None else self.connection.peer

    def send_passing(self, data: Any, passed: list[Passed], address: Any = None) -> int:
        """As `send`, and pass descriptors along with the first byte.

        Raises:
            OSError: EINVAL, there is no byte.
        """
        if not data:
            raise os_error(errno.EINVAL)
        peer = self._peer_connection()
        offset = peer.passed.sent if peer is not None else 0
        sent = self.send(data)
        if peer is None or peer.gone:
            drop(passed)
        else:
            peer.passed.messages.append((offset, offset + sent, passed))
        return sent

    def receive(self, size: int, peek: bool = False) -> bytes:
        """As `TcpSocket.receive`; descriptors that come along are closed."""
        if peek:
            return super().receive(size, peek)
        data, _, passed = self.receive_passed(size)
        drop(passed)
        return data

    def receive_passed(self, size: int) -> tuple[bytes, Any, list[Passed]]:
        """As `receive`, with what comes along."""
        connection: Any = self.connection
        on_the_way = None if connection is None else connection.passed
        data = super().receive(size if on_the_way is None else on_the_way.limit(size))
        return data, None, [] if on_the_way is None else on_the_way.read(len(data))

    def _released(self) -> None:
        if self.connection is not None and self.connection.passed is not None:
            self.connection.passed.close()
        super()._released()

    def polled(self, events: int) -> int:
        """As `TcpSocket.polled`; a peer that has closed its socket neither sends nor receives, and this end knows."""
        found, peer = super().polled(events), self._peer_connection()
        is_left = self.connection is not None and self.connection.at_end and (peer is None or peer.closed)
        return found | select.POLLHUP if is_left else found

    def awaited(self, readable: bool) -> str:
        """What makes the socket readable, or writable."""
        if self.is_listening:
            return f"no connection comes to {self.local[1]!r}"
        assert self.remote is not None
        remote = f"the other end of {self.remote[1] or self.local[1] or 'a pair of sockets'!r}"
        return f"no bytes come from {remote}" if readable else f"{remote} reads nothing"


def _connect(socket: TcpSocket, remote: Address) -> Connection:
    """Connect ``socket`` to what is returned, a connection that has no socket yet."""
    socket.remote = remote
    loopback = socket.network.link(socket.node, socket.node)
    near = socket._connect_over(loopback, loopback)
    far = Connection(socket.node, socket.services, loopback, loopback, remote, socket.local)
    socket.node.connections[far] = None
    near.peer, far.peer = far, near
    if socket.process.is_driver and socket.services.run.thread_rules >= _RECORDED_SINCE:
        names = recorded(socket.local[1]), recorded(remote[1])
        near.recorded_names, far.recorded_names = names, names[::-1]
    near.passed, far.passed = PassedInStream(), PassedInStream()
    return far


class UnixDatagramSocket(_Named, UdpSocket):
    """A datagram socket with a name."""

    def __init__(self, process: SocketOwner, family: constants.AddressFamily = AF_UNIX) -> None:
        super().__init__(process, family)
        self._peer: UnixDatagramSocket | None = None

    def connect(self, address: Any) -> None:
        """Send to the socket of this name from now on, and receive from there only."""
        self._check_open()
        self._pair_with(self._found(address))

    def _pair_with(self, peer: UnixDatagramSocket) -> None:
        self._peer, self.remote = peer, peer.local

    def send(self, data: Any) -> int:
        """Send one datagram to the connected socket."""
        self._check_open()
        if self._peer is None:
            raise os_error(errno.ENOTCONN)
        return self._deliver(data, self._peer)

    def send_to(self, data: Any, address: Any) -> int:
        """Send one datagram.

        Raises:
            OSError: ENOENT, ECONNREFUSED, EPROTOTYPE, EPERM (it is connected to another), EPIPE.
        """
        self._check_open()
        return self._deliver(data, self._found(address))

    def send_passing(self, data: Any, passed: list[Passed], address: Any = None) -> int:
        """Send one datagram that passes descriptors."""
        datagram = Carrying(data)
        datagram.passed = passed
        return self.send(datagram) if address is None else self.send_to(datagram, address)

    def receive_from(self, size: int, peek: bool = False) -> tuple[bytes, Address]:
        """As `UdpSocket.receive_from`; descriptors that come along are closed."""
        passed = [] if peek else self._passed_next()
        found = super().receive_from(size, peek)
        drop(passed)
        return found

    def receive_passed(self, size: int) -> tuple[bytes, Any, list[Passed]]:
        """As `receive_from`, with what comes along."""
        passed = self._passed_next()
        data, source = super().receive_from(size)
        return data, self.source_shown(source), passed

    def _passed_next(self) -> list[Passed]:
        datagram = self.inbox[0][0] if self.inbox else b""
        return datagram.passed if isinstance(datagram, Carrying) else []

    def _deliver(self, data: Any, target: UnixDatagramSocket) -> int:
        if self.write_shut:
            raise os_error(errno.EPIPE)
        if target.is_closed:
            raise os_error(errno.ECONNREFUSED)
        if target._peer not in (None, self):
            raise os_error(errno.EPERM)
        payload = data if isinstance(data, Carrying) else bytes(data)
        target.inbox.append((payload, self.local, None))
        target.inbox_bytes += len(payload)
        target.readers.wake()
        return len(payload)

    def source_shown(self, source: Address) -> Any:
        """The name of a sender; None if it has none, as on Linux."""
        return source[1] or None

    def awaited(self, readable: bool) -> str:
        """What makes the socket readable."""
        return f"no datagram comes to {self.local[1]!r}"

    def _released(self) -> None:
        for datagram, *_ in self.inbox:
            if isinstance(datagram, Carrying):
                drop(datagram.passed)
        super()._released()
        self._peer = None


def unix_pair(process: SocketOwner, kind: int) -> tuple[TcpSocket, TcpSocket] | tuple[UdpSocket, UdpSocket]:
    """Two sockets of one process that are connected to each other and have no names."""
    if kind == constants.SOCK_DGRAM:
        one, other = UnixDatagramSocket(process), UnixDatagramSocket(process)
        one._pair_with(other)
        other._pair_with(one)
        return one, other
    near, far = UnixStreamSocket(process), UnixStreamSocket(process)
    far.take(_connect(near, UNNAMED))
    return near, far


def unlink(machine: Any, path: Any) -> bool:
    """Take the name ``path`` away; False if no socket has it."""
    return machine.unix_names.pop(_key_of_path(path), None) is not None


def status(machine: Any, path: Any) -> os.stat_result | None:
    """What ``os.stat`` says of the socket at ``path``; None if there is none."""
    found = machine.unix_names.get(_key_of_path(path))
    if found is None:
        return None
    return os.stat_result((0o140_755, found.descriptor, 0, 1, 0, 0, 0, 0, 0, 0))


def _key_of_path(path: Any) -> Name | None:
    return None if isinstance(path, int) else key_of(os.fsdecode(path))
