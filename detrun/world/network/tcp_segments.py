"""What the two ends of a TCP connection send each other: segments, resets, and word that there is room again.

A segment is sent again until it is received (`tcp_retry`). The rule: a packet knows the end that sent it, and tells the
other one when it arrives.
"""

from __future__ import annotations

import errno
from typing import Protocol

from detrun.world.network.link import Link
from detrun.world.network.packet import Packet, Way
from detrun.world.network.posix import Address
from detrun.world.network.tcp_retry import HEADER_BYTES, Persistent, Sender


class TcpEnd(Sender, Protocol):
    """One end of a connection as its packets see it; `tcp.Connection` in life."""

    link: Link
    local: Address
    remote: Address

    @property
    def peer(self) -> TcpEnd | None:
        """The other end."""

    def arrived(self, segment: Segment, /) -> None:
        """A segment of the peer has come."""

    def acknowledged(self, received_bytes: int, window_edge: int) -> None:
        """The peer has sent an acknowledgement."""

    def finish_acknowledged(self) -> None:
        """The peer has this end's FIN."""

    def advertise(self, attempt: int) -> None:
        """Tell the peer that there is room again."""

    def fail(self, number: int) -> None:
        """End with an error."""

    def tear_down(self) -> None:
        """End both ends as by a reset on the way."""


class Segment(Persistent):
    """Some bytes, or FIN, or the end of the handshake, with their place in the stream."""

    __slots__ = ("data", "fin", "number")
    connection: TcpEnd

    def __init__(self, connection: TcpEnd, number: int, data: memoryview, fin: bool) -> None:
        super().__init__(connection, connection.link, len(data) + HEADER_BYTES)
        self.number = number
        self.data = data
        self.fin = fin

    def fire(self) -> None:
        if self.is_waiting:
            if not self.send_again():
                self.connection.fail(errno.ETIMEDOUT)
        elif self.link.arrive(self):
            peer = self.connection.peer
            if peer is not None:
                peer.arrived(self)

    def reset(self) -> None:
        self.connection.tear_down()

    def copy(self) -> Packet:
        return Segment(self.connection, self.number, self.data, self.fin)

    def describe(self) -> str:
        what = "FIN" if self.fin else f"{len(self.data)} bytes" if self.data else "ACK"
        return f"tcp {self.connection.local[1]}->{self.connection.remote[1]} #{self.number} {what}"


class Reset(Packet):
    """RST: the connection does not exist at the sender of this."""

    __slots__ = ("connection",)
    protocol = "tcp"

    def __init__(self, link: Way, connection: TcpEnd | None) -> None:
        super().__init__(link, HEADER_BYTES)
        self.connection = connection

    def fire(self) -> None:
        if self.link.arrive(self) and self.connection is not None:
            self.connection.fail(errno.ECONNRESET)

    def copy(self) -> Packet:
        return Reset(self.link, self.connection)

    def describe(self) -> str:
        return "tcp RST"


class WindowUpdate:
    """The next attempt to tell a sender that there is room."""

    __slots__ = ("attempt", "connection")

    def __init__(self, connection: TcpEnd, attempt: int) -> None:
        self.connection = connection
        self.attempt = attempt

    def fire(self) -> None:
        self.connection.advertise(self.attempt)
