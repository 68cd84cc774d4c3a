"""UDP sockets and the datagrams between them: lost, doubled, overtaken as the link says, refused at unbound ports."""

from __future__ import annotations

import errno
import socket as constants
from collections import deque
from typing import Any

from detrun.world.network.packet import Packet, Way
from detrun.world.network.posix import TO_ITSELF, Address, os_error
from detrun.world.sockets.machine_sockets import Socket, SocketMachine, SocketOwner

DATAGRAM_BYTES_MAX = 65_507
DATAGRAM_BUFFER_BYTES = 212_992  # net.core.rmem_default
UDP_HEADER_BYTES = 28


class UdpSocket(Socket):
    """A datagram socket. What arrives while its buffer is full is lost, as in life."""

    kind = constants.SOCK_DGRAM
    protocol = constants.IPPROTO_UDP
    send_buffer_bytes = receive_buffer_bytes = DATAGRAM_BUFFER_BYTES

    def __init__(self, process: SocketOwner, family: constants.AddressFamily = constants.AF_INET) -> None:
        super().__init__(process, family)
        self.inbox: deque[tuple[bytes, Address]] = deque()
        self.inbox_bytes = 0
        self.error = 0
        self.write_shut = False

    def connect(self, address: Address) -> None:
        """Send to ``address`` from now on, and receive from there only."""
        self._check_open()
        host, port = self._numeric(address)
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
            OSError: EMSGSIZE, EHOSTUNREACH, EPIPE, or ECONNREFUSED if an earlier datagram found no socket.
        """
        self._check_open()
        payload = bytes(data)
        if len(payload) > DATAGRAM_BYTES_MAX:
            raise os_error(errno.EMSGSIZE)
        if self.error:
            raise os_error(self.take_error())
        if self.write_shut:
            raise os_error(errno.EPIPE)
        host, port = self._numeric(address)
        host = TO_ITSELF.get(host, host)
        peer = self.services.machine_at(host, self.node)
        if peer is None:
            raise os_error(errno.EHOSTUNREACH)
        if not self.is_bound:
            self.bind((self.wildcard, 0))
        source = self._source(host)
        link = self.network.link(self.node, peer)
        link.send(Datagram(link, self, peer, payload, source, (host, port)))
        return len(payload)

    def receive_from(self, size: int, peek: bool = False) -> tuple[bytes, Address]:
        """The oldest datagram, cut to ``size`` bytes, and where it came from."""
        self._check_open()
        if self.error:
            raise os_error(self.take_error())
        if not self.inbox:
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
        """Send no more; reading goes on.

        Raises:
            OSError: ENOTCONN, and yet it is shut down, as on Linux.
        """
        self._check_open()
        self.write_shut |= how in (constants.SHUT_WR, constants.SHUT_RDWR)
        self.peer_address()

    def arrived(self, payload: bytes, source: Address) -> None:
        """A datagram has come."""
        if self.inbox_bytes + len(payload) > DATAGRAM_BUFFER_BYTES:
            self.services.faults.count("receive buffer overflow")
            return
        self.inbox.append((payload, source))
        self.inbox_bytes += len(payload)
        self.readers.wake()

    def refused(self, target: Address) -> None:
        """A datagram found no socket; one that is connected to where it went is told, as by ICMP."""
        if self.remote == target and not self.is_closed:
            self.error = errno.ECONNREFUSED
            self.readers.wake()

    def take_error(self) -> int:
        """The pending error, which is thereby cleared."""
        number, self.error = self.error, 0
        return number

    def awaited(self, readable: bool) -> str:
        """What makes the socket readable; it is writable always."""
        return f"no datagram comes to {self.local[0]}:{self.local[1]}"

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

    __slots__ = ("payload", "receiver", "sender", "target", "writer")
    protocol = "udp"

    def __init__(
        self, link: Way, writer: UdpSocket, receiver: SocketMachine, payload: bytes, sender: Address, target: Address
    ) -> None:
        super().__init__(link, len(payload) + UDP_HEADER_BYTES)
        self.writer = writer
        self.receiver = receiver
        self.payload = payload
        self.sender = sender
        self.target = target

    def fire(self) -> None:
        if not self.link.arrive(self):
            return
        found = self.receiver.ports[constants.SOCK_DGRAM].find(self.target)
        # A connected socket does not exist for what comes from elsewhere.
        if isinstance(found, UdpSocket) and found.remote in (None, self.sender):
            self.link.journal_left()
            found.arrived(self.payload, self.sender)
        else:
            back = self.writer.network.link(self.receiver, self.source)
            back.send(Unreachable(back, self.writer, self.target))

    def copy(self) -> Packet:
        return Datagram(self.link, self.writer, self.receiver, self.payload, self.sender, self.target)

    def describe(self) -> str:
        return f"udp {self.sender[1]}->{self.target[1]} {len(self.payload)} bytes"


class Unreachable(Packet):
    """ICMP's answer to a datagram for a port to which no socket is bound."""

    __slots__ = ("target", "writer")
    protocol = "icmp"

    def __init__(self, link: Way, writer: UdpSocket, target: Address) -> None:
        super().__init__(link, 2 * UDP_HEADER_BYTES)
        self.writer = writer
        self.target = target

    def fire(self) -> None:
        if self.link.arrive(self):
            self.writer.refused(self.target)

    def copy(self) -> Packet:
        return Unreachable(self.link, self.writer, self.target)
