"""UDP sockets and the datagrams between them: lost, doubled, overtaken as the link says, refused at unbound ports.

A datagram to a broadcast address or a group (`group_addresses`) goes to each machine over the link to it.
"""

from __future__ import annotations

import errno
import select
import socket as constants
from collections import deque
from collections.abc import Iterable
from typing import Any

from detrun.world.network.packet import Packet, Way
from detrun.world.network.posix import TO_ITSELF, Address, os_error
from detrun.world.sockets.ancillary_data import HEADER_DEFAULTS, Header, HeaderOptions, sent_along
from detrun.world.sockets.group_addresses import (
    GROUP_DEFAULTS,
    Groups,
    is_broadcast,
    is_group,
    is_multicast,
    is_of_every_machine,
)
from detrun.world.sockets.machine_sockets import Socket, SocketMachine, SocketOwner
from detrun.world.sockets.socket_options import SOCKET_DEFAULTS

DATAGRAM_BYTES_MAX = 65_507
DATAGRAM_BUFFER_BYTES = 212_992  # net.core.rmem_default
UDP_HEADER_BYTES = 28
_DEFAULTS = {**SOCKET_DEFAULTS, **GROUP_DEFAULTS}
_IPV6_DEFAULTS = {**_DEFAULTS, **HEADER_DEFAULTS}


class UdpSocket(Socket):
    """A datagram socket. What arrives while its buffer is full is lost, as in life."""

    kind = constants.SOCK_DGRAM
    protocol = constants.IPPROTO_UDP
    send_buffer_bytes = receive_buffer_bytes = DATAGRAM_BUFFER_BYTES
    option_defaults = _DEFAULTS

    def __init__(self, process: SocketOwner, family: constants.AddressFamily = constants.AF_INET) -> None:
        super().__init__(process, family)
        self.inbox: deque[tuple[bytes, Address, Header | None]] = deque()
        self.inbox_bytes = 0
        self.error = 0
        self.write_shut = False
        self.groups = Groups(self.options)
        self.headers: HeaderOptions | None = None
        if family == constants.AF_INET6:
            self.headers = HeaderOptions(self.options)
            self.option_defaults = _IPV6_DEFAULTS

    def connect(self, address: Address) -> None:
        """Send to ``address`` from now on, and receive from there only.

        Raises:
            OSError: EACCES, it is a broadcast address and ``SO_BROADCAST`` is not set.
        """
        self._check_open()
        host, port = self._numeric(address)
        self._check_broadcast(host)
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
            OSError: EMSGSIZE, EINVAL (port 0), EHOSTUNREACH, EPIPE, ECONNREFUSED if an earlier datagram found no
                socket, or EACCES, a broadcast address without ``SO_BROADCAST``.
        """
        return self._send_to(data, address, {})

    def send_message(self, data: Any, items: Iterable[Any], address: Address | None = None) -> int:
        """Send one datagram, to the connected address if none is given, with ancillary data for its header.

        Raises:
            OSError: EINVAL, it is other ancillary data than `ancillary_data` knows; EDESTADDRREQ; as `send_to`.
        """
        self._check_open()
        if self.headers is None:
            raise os_error(errno.EINVAL)
        target = self.remote if address is None else address
        if target is None:
            raise os_error(errno.EDESTADDRREQ)
        return self._send_to(data, target, sent_along(items))

    def _send_to(self, data: Any, address: Address, ancillary: dict[int, int]) -> int:
        self._check_open()
        payload = bytes(data)
        if len(payload) > DATAGRAM_BYTES_MAX:
            raise os_error(errno.EMSGSIZE)
        if self.error:
            raise os_error(self.take_error())
        if self.write_shut:
            raise os_error(errno.EPIPE)
        host, port = self._numeric(address)
        if not port:
            raise os_error(errno.EINVAL)
        host = TO_ITSELF.get(host, host)
        self._check_broadcast(host)
        reaches_many = is_group(host)
        peer = None if reaches_many else self.services.machine_at(host, self.node)
        if peer is None and not reaches_many:
            raise os_error(errno.EHOSTUNREACH)
        if not self.is_bound:
            self.bind((self.wildcard, 0))
        source = self._source(host)
        header = self.headers.sent(reaches_many, ancillary) if self.headers is not None and ":" in host else None
        kind = GroupDatagram if reaches_many else Datagram
        for machine in self._machines(host) if peer is None else (peer,):
            link = self.network.link(self.node, machine)
            link.send(kind(link, self, machine, payload, source, (host, port), header))
        return len(payload)

    def _machines(self, host: str) -> list[SocketMachine]:
        """Those that a datagram to a group goes to, in the order in which they were named."""
        found = list(self.services.machines.values())
        if not is_multicast(host) or self.groups.hears_itself(self.family):  # a broadcast comes back always
            return found
        return [one for one in found if one is not self.node]

    def _check_broadcast(self, host: str) -> None:
        if is_broadcast(host) and not self.has_option(constants.SO_BROADCAST):
            raise os_error(errno.EACCES)

    def _may_bind(self, host: str) -> bool:
        return is_group(host) or super()._may_bind(host)

    def _source(self, remote: str) -> Address:
        host, port = self.local
        if is_group(host):  # which is where it listens
            return (self.node.address6 if ":" in remote else self.node.address), port
        return super()._source(remote)

    def set_option(self, level: int, name: int, value: Any) -> None:
        """Remember a socket option; join or leave a group."""
        self._check_open()
        if self.headers is not None and self.headers.change(level, name, value):
            return
        if not self.groups.change(level, name, value):
            super().set_option(level, name, value)

    def receive_from(self, size: int, peek: bool = False) -> tuple[bytes, Address]:
        """The oldest datagram, cut to ``size`` bytes, and where it came from."""
        return self.receive_message(size, peek)[:2]

    def receive_message(self, size: int, peek: bool = False) -> tuple[bytes, Address, Header | None]:
        """As `receive_from`, and its header, which datagrams over IPv6 have."""
        self._check_open()
        if self.error:
            raise os_error(self.take_error())
        if not self.inbox:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        payload, source, header = self.inbox[0]
        if not peek:
            self.inbox.popleft()
            self.inbox_bytes -= len(payload)
        return payload[:size], source, header

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

    def arrived(self, payload: bytes, source: Address, header: Header | None = None) -> None:
        """A datagram has come."""
        if self.inbox_bytes + len(payload) > DATAGRAM_BUFFER_BYTES:
            self.services.faults.count("receive buffer overflow")
            return
        self.inbox.append((payload, source, header))
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

    def polled(self, events: int) -> int:
        """As `Socket.polled`; an error that is pending, too."""
        return super().polled(events) | (select.POLLERR if self.error else 0)

    def _released(self) -> None:
        self.inbox.clear()


class Datagram(Packet):
    """One datagram on its way."""

    __slots__ = ("header", "payload", "receiver", "sender", "target", "writer")
    protocol = "udp"

    def __init__(
        self,
        link: Way,
        writer: UdpSocket,
        receiver: SocketMachine,
        payload: bytes,
        sender: Address,
        target: Address,
        header: Header | None,
    ) -> None:
        super().__init__(link, len(payload) + UDP_HEADER_BYTES)
        self.writer = writer
        self.receiver = receiver
        self.payload = payload
        self.sender = sender
        self.target = target
        self.header = header

    def fire(self) -> None:
        if not self.link.arrive(self):
            return
        found = self.receiver.ports[constants.SOCK_DGRAM].find(self.target)
        # A connected socket does not exist for what comes from elsewhere.
        if isinstance(found, UdpSocket) and found.remote in (None, self.sender):
            self.link.journal_left()
            found.arrived(self.payload, self.sender, self.header)
        else:
            back = self.writer.network.link(self.receiver, self.source)
            back.send(Unreachable(back, self.writer, self.target))

    def copy(self) -> Packet:
        return type(self)(self.link, self.writer, self.receiver, self.payload, self.sender, self.target, self.header)

    def describe(self) -> str:
        return f"udp {self.sender[1]}->{self.target[1]} {len(self.payload)} bytes"


class GroupDatagram(Datagram):
    """One copy of a datagram for several machines: every socket there gets it that would, and nothing answers it."""

    __slots__ = ()

    def fire(self) -> None:
        if not self.link.arrive(self):
            return
        ports = self.receiver.ports[constants.SOCK_DGRAM]
        host = self.target[0]
        here = (one for owners in ports.owners.values() for one in owners)
        if not is_of_every_machine(host) and not any(host in one.groups.joined for one in here):
            return
        self.link.journal_left()
        for one in ports.reached(self.target):
            if one.remote in (None, self.sender):
                one.arrived(self.payload, self.sender, self.header)


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
