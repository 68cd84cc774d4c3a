"""The handshake that begins a TCP connection: SYN, and its answer.

A SYN that is lost, or whose answer is, is sent again after 1, 2, 4 ... seconds, as on Linux (``tcp_syn_retries``).
"""

from __future__ import annotations

import errno
from typing import ClassVar, Protocol

from detrun.world.network.listener import Listener
from detrun.world.network.packet import Packet, Way
from detrun.world.network.posix import Address
from detrun.world.network.tcp import Connection, TcpMachine
from detrun.world.network.tcp_retry import HEADER_BYTES, Persistent
from detrun.world.network.tcp_segments import Reset
from detrun.world.services import Services

SYN_ATTEMPTS_MAX = 7
SYN_SECONDS = 1.0


class ListeningMachine(TcpMachine, Protocol):
    """A machine as the handshakes that arrive there see it."""

    @property
    def services(self) -> Services:
        """Those of its world."""

    def listener_at(self, address: Address) -> Listener[Connection] | None:
        """The backlog of the socket that listens where ``address`` points."""


class Handshake(Persistent):
    """SYN on its way to a listener; sent again until it is answered or given up."""

    __slots__ = ("server",)
    connection: Connection
    attempts_max: ClassVar[int] = SYN_ATTEMPTS_MAX
    first_seconds: ClassVar[float | None] = SYN_SECONDS

    def __init__(self, connection: Connection, server: ListeningMachine) -> None:
        super().__init__(connection, connection.link, HEADER_BYTES)
        self.server = server

    def fire(self) -> None:
        if self.is_waiting:
            if not self.send_again():
                self.connection.fail(errno.ETIMEDOUT)
        elif self.link.arrive(self):
            self._answer()

    def _answer(self) -> None:
        client = self.connection
        if client.gone:
            return
        if client.peer is None or client.peer.gone:
            listener = self.server.listener_at(client.remote)
            if listener is None:
                client.back.send(Answer(client.back, self, refused=True))
                return
            if not listener.has_room():
                faults = self.server.services.faults
                faults.count("accept queue overflow")
                self.lost()
                return
            client.accepted_by(self.server, listener)
        client.back.send(Answer(client.back, self, refused=False))

    def reset(self) -> None:
        self.connection.tear_down()

    def copy(self) -> Packet:
        return Handshake(self.connection, self.server)

    def describe(self) -> str:
        return f"tcp SYN to port {self.connection.remote[1]}"


class Answer(Packet):
    """SYN-ACK, or the RST of a port where no socket listens."""

    __slots__ = ("handshake", "refused")
    protocol = "tcp"

    def __init__(self, link: Way, handshake: Handshake, refused: bool) -> None:
        super().__init__(link, HEADER_BYTES)
        self.handshake = handshake
        self.refused = refused

    def fire(self) -> None:
        if not self.link.arrive(self):
            return
        client = self.handshake.connection
        if self.refused:
            client.fail(errno.ECONNREFUSED)
        elif client.gone:
            # The client has given up meanwhile; its machine answers the unexpected SYN-ACK with RST.
            client.link.send(Reset(client.link, client.peer))
        elif client.writers is not None and client.connecting:
            client.established()

    def lost(self) -> None:
        self.handshake.lost()

    def reset(self) -> None:
        self.handshake.connection.fail(errno.ECONNRESET)

    def copy(self) -> Packet:
        return Answer(self.link, self.handshake, self.refused)

    def describe(self) -> str:
        return "tcp RST (refused)" if self.refused else "tcp SYN-ACK"
