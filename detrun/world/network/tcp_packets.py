"""What TCP sends: segments, resets, handshakes, and when each is sent again.

A packet that somebody has to receive is `Persistent`: if it is lost, or what it calls for is, it waits until its
attempt has had its time and is sent again; each attempt has twice the time of the one before, and after the last the
connection is given up. The timer is set only for what is known to be lost, so nothing is repeated that is merely late.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from detrun.world.network.link import Link, Packet
from detrun_scheduler.clock import primal_of

if TYPE_CHECKING:
    from detrun.world.network.tcp import Connection

HEADER_BYTES = 40
RETRANSMISSIONS_MAX = 15
SYN_ATTEMPTS_MAX = 7
SYN_SECONDS = 1.0


class Persistent(Packet):
    """A packet that is sent again until somebody has said that it came, or the connection is given up."""

    __slots__ = ("attempts", "connection", "due", "is_waiting")
    protocol = "tcp"

    def __init__(self, connection: Connection, size: int) -> None:
        super().__init__(connection.link, size)
        self.connection = connection
        self.attempts = 0  # that have failed
        self.is_waiting = False  # for the next attempt, or for giving up
        self.due: Any = 0.0

    def attempts_max(self) -> int:
        """Attempts before the connection is given up."""
        return RETRANSMISSIONS_MAX + 1

    def retry_seconds(self) -> float:
        """How long this attempt is given."""
        return self.connection.node.world.retry_seconds(self.attempts)

    def lost(self) -> None:
        connection = self.connection
        if connection.gone:
            return
        run = connection.node.world.run
        self.due = self.sent_at + self.retry_seconds()
        if primal_of(self.due) < run.virtual_clock.time:
            self.due = run.virtual_clock.now
        self.attempts += 1
        self.is_waiting = True
        connection.retrying[self] = None
        run.timers.add(self.due, self)

    def fire(self) -> None:
        if not self.is_waiting:
            self.link.arrive(self)
            return
        self.is_waiting = False
        self.connection.retrying.pop(self, None)
        if self.attempts < self.attempts_max():
            self.link.send(self)
        else:
            self.connection.fail(errno.ETIMEDOUT)

    def reset(self) -> None:
        self.connection.tear_down()


class Segment(Persistent):
    """Some bytes, or FIN, or the end of the handshake, with their place in the stream."""

    __slots__ = ("data", "fin", "number")

    def __init__(self, connection: Connection, number: int, data: memoryview, fin: bool) -> None:
        super().__init__(connection, len(data) + HEADER_BYTES)
        self.number = number
        self.data = data
        self.fin = fin

    def deliver(self) -> None:
        peer = self.connection.peer
        if peer is not None:
            peer.arrived(self)

    def copy(self) -> Packet:
        return Segment(self.connection, self.number, self.data, self.fin)

    def describe(self) -> str:
        what = "FIN" if self.fin else f"{len(self.data)} bytes" if self.data else "ACK"
        return f"tcp {self.connection.local[1]}->{self.connection.remote[1]} #{self.number} {what}"


class Reset(Packet):
    """RST: the connection does not exist at the sender of this."""

    __slots__ = ("connection",)
    protocol = "tcp"

    def __init__(self, link: Link, connection: Connection | None) -> None:
        super().__init__(link, HEADER_BYTES)
        self.connection = connection

    def deliver(self) -> None:
        if self.connection is not None:
            self.connection.fail(errno.ECONNRESET)

    def copy(self) -> Packet:
        return Reset(self.link, self.connection)

    def describe(self) -> str:
        return "tcp RST"


class Handshake(Persistent):
    """SYN on its way to a listener; sent again until it is answered or given up."""

    __slots__ = ()

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, HEADER_BYTES)

    def attempts_max(self) -> int:
        return SYN_ATTEMPTS_MAX

    def retry_seconds(self) -> float:
        return SYN_SECONDS * 2.0**self.attempts

    def deliver(self) -> None:
        client = self.connection
        if client.gone:
            return
        server = client.peer
        if server is None or server.gone:
            listener = self.destination.listener_at(client.remote)
            if listener is None:
                client.back.send(Answer(client.back, self, refused=True))
                return
            if not listener.has_backlog_room():
                self.destination.world.faults.count("accept queue overflow")
                self.lost()
                return
            server = client.accepted_by(self.destination, listener)
        client.back.send(Answer(client.back, self, refused=False))

    def copy(self) -> Packet:
        return Handshake(self.connection)

    def describe(self) -> str:
        return f"tcp SYN to port {self.connection.remote[1]}"


class Answer(Packet):
    """SYN-ACK, or the RST of a port where nobody listens."""

    __slots__ = ("handshake", "refused")
    protocol = "tcp"

    def __init__(self, link: Link, handshake: Handshake, refused: bool) -> None:
        super().__init__(link, HEADER_BYTES)
        self.handshake = handshake
        self.refused = refused

    def deliver(self) -> None:
        client = self.handshake.connection
        if self.refused:
            client.fail(errno.ECONNREFUSED)
        elif client.gone:
            # The client has given up meanwhile; its machine answers the unexpected SYN-ACK with RST.
            client.link.send(Reset(client.link, client.peer))
        elif client.socket is not None and client.socket.connecting:
            client.socket.connected()
            client.establish()

    def lost(self) -> None:
        self.handshake.lost()

    def reset(self) -> None:
        self.handshake.connection.fail(errno.ECONNRESET)

    def copy(self) -> Packet:
        return Answer(self.link, self.handshake, self.refused)

    def describe(self) -> str:
        return "tcp RST (refused)" if self.refused else "tcp SYN-ACK"


class WindowUpdate:
    """The next attempt to tell a sender that there is room."""

    __slots__ = ("attempt", "connection")

    def __init__(self, connection: Connection, attempt: int) -> None:
        self.connection = connection
        self.attempt = attempt

    def fire(self) -> None:
        self.connection.advertise(self.attempt)
