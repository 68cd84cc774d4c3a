"""`Connection`: one end of a TCP connection, as its users see it: a byte stream, buffers that fill, resets, time-outs.

The model. Bytes are cut into segments that travel the link one by one; the receiver puts them in order, so a stream is
FIFO always. A segment that is lost, on the way there or because its acknowledgement cannot come back, is sent again
``retransmission_seconds`` after it was sent, then after twice that, and so on; when `RETRANSMISSIONS_MAX` repetitions
have failed, the sender gives the connection up (``ETIMEDOUT``). Loss therefore shows as delay of everything behind it,
not as holes. A sender may have as much on the way as the receiver's buffer has room, as far as the acknowledgements
that have arrived say; its own buffer holds what it may not send yet, and when that is full too, `send` blocks. Closing
sends what is buffered and then FIN; closing with unread bytes, or receiving for a socket that is gone, answers RST, as
Linux does.

What is not modelled: congestion control, fast retransmission, delayed acknowledgements, TIME_WAIT, keep-alive probes,
and loss of acknowledgements by chance (they are cumulative: the next one says the same). The retransmission timer is
not estimated from round trips; it is set only for what was in fact lost, so there are no spurious retransmissions.

A connection calls its link and wakes the tasks that wait for it. Sockets and handshakes call it.

Sources: RFC 9293; numbers and corner cases as in Linux (``tcp_retries2``, ``tcp_syn_retries``, ``tcp_rmem``).
"""

from __future__ import annotations

import errno
from typing import Any, Protocol

from detrun.world.network.link import Link
from detrun.world.network.listener import Listener
from detrun.world.network.posix import Address
from detrun.world.network.tcp_outgoing import RECEIVE_BUFFER_BYTES, SEND_BUFFER_BYTES, Outgoing
from detrun.world.network.tcp_retry import RETRANSMISSIONS_MAX, Persistent, retry_seconds
from detrun.world.network.tcp_segments import Reset, Segment, WindowUpdate
from detrun.world.network.waiters import Waiters
from detrun.world.services import Machine, Services
from detrun_scheduler.clock import primal_of

ORPHAN_SECONDS = 60.0  # tcp_fin_timeout
HALF_OPEN_SECONDS = 63.0  # tcp_synack_retries: five repetitions, after 1, 2, 4, 8 and 16 s, and 32 s for the last


class TcpMachine(Machine, Protocol):
    """A machine as its connections see it."""

    connections: dict[Connection, None]


class Connection:
    """One end of a TCP connection: what goes out, what has come in.

    Attributes:
        machine: where this end is; ``machine.connections`` has it until it is over.
        link, back: to the peer and from the peer.
        peer: the other end; None before the handshake reaches it, and when both are over.
        readers, writers: of the socket; None before there is one and once the process has closed it.
        listener: at the accepting end until the connection is established.
        connecting: at the connecting end until the handshake is answered.
        error: the errno that the next operation raises, or 0.
        closed: the process has closed its socket.
        gone: the operating system has forgotten it: whatever comes is answered with RST.
        finishing, finished, finish_seen: no more bytes will be queued; FIN has been sent; the peer has acknowledged it.
        at_end: the peer's FIN has come.
        read_shut: the process wants to read no more.
        retrying: packets that wait for their next attempt.

    Invariants: bytes of segments below ``expected`` have been put into ``inbox`` once and in order, and segments that
    came too early are in ``early`` under greater numbers; ``received_bytes`` - ``read_bytes`` is the length of
    ``inbox``, and at most `RECEIVE_BUFFER_BYTES`; ``finished`` implies ``finishing``, ``finish_seen`` implies
    ``finished``; of one that is gone nothing is kept to be sent.
    """

    def __init__(
        self, machine: TcpMachine, services: Services, link: Link, back: Link, local: Address, remote: Address
    ) -> None:
        run = services.run
        self.machine = machine
        self.link = link
        self.back = back
        self.local = local
        self.remote = remote
        self.clock = run.virtual_clock
        self.timers = run.timers
        self.retransmission_seconds = services.retransmission_seconds
        self._services = services
        self._run = run
        self.peer: Connection | None = None
        self.passed: Any = None  # of a Unix socket: descriptors on their way to here
        self.recorded_names = local[1], remote[1]  # ports, or names of Unix sockets
        self.readers: Waiters | None = None
        self.writers: Waiters | None = None
        self.listener: Listener[Connection] | None = None
        self.connecting = False
        self.error = 0
        self.closed = False
        self.gone = False
        # Outgoing.
        self.outgoing = Outgoing()
        self.segments = 0
        self.finishing = False
        self.finished = False
        self.finish_seen = False
        self.alarm_due: Any = None  # when `fire` will be called, for the next acknowledgement to arrive
        self.retrying: dict[Persistent, None] = {}
        # Incoming.
        self.expected = 0
        self.early: dict[int, Segment] = {}
        self.inbox = bytearray()
        self.received_bytes = 0
        self.read_bytes = 0
        self.advertised_edge = RECEIVE_BUFFER_BYTES
        self.at_end = False
        self.read_shut = False
        # Read by the run's journal when messages enter and leave: the run, and the number of the direction to the peer.
        self.serial = run.serial
        self.number = -1

    def accepted_by(self, machine: TcpMachine, listener: Listener[Connection]) -> Connection:
        """The other end, made when the handshake begins at ``listener``."""
        other = Connection(machine, self._services, self.back, self.link, self.remote, self.local)
        other.peer, self.peer = self, other
        other.listener = listener
        listener.half_open += 1
        machine.connections[other] = None
        # The client may never come back, and half-open connections take places in the backlog.
        other.alarm_due = self.clock.now + HALF_OPEN_SECONDS
        self.timers.add(other.alarm_due, other)
        return other

    # What a socket does.

    def attach(self, readers: Waiters, writers: Waiters) -> None:
        """Wake these tasks from now on: those of the socket that the connection belongs to."""
        self.readers, self.writers = readers, writers

    def has_room(self) -> bool:
        """Whether a writer is told to go on: a third of the buffer free, as on Linux, so no byte alone wakes it."""
        outgoing = self.outgoing
        outgoing.see_acknowledgements(self.clock.time)
        return 3 * outgoing.room >= SEND_BUFFER_BYTES

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Take as much of ``data`` as fits and send what the window allows; 0 if the buffer is full."""
        outgoing = self.outgoing
        room = outgoing.room
        if room < len(data):
            outgoing.see_acknowledgements(self.clock.time)
            room = outgoing.room
        taken = min(len(data), room)
        if taken <= 0:
            self.await_acknowledgement()
            return 0
        outgoing.queue.append(memoryview(bytes(data[:taken])))
        outgoing.queued_bytes += taken
        self._push()
        return taken

    def read(self, size: int) -> bytes:
        """At most ``size`` of the bytes that have come, maybe none."""
        inbox = self.inbox
        data = bytes(inbox[:size])
        del inbox[:size]
        self.read_bytes += len(data)
        edge = self.read_bytes + RECEIVE_BUFFER_BYTES
        # Tell the sender when the window that it knows of was closing: half a buffer at a time, not every byte.
        if edge - self.advertised_edge >= RECEIVE_BUFFER_BYTES // 2 and not self.at_end:
            self.advertise(0)
        return data

    def finish(self) -> None:
        """No more bytes from here: FIN goes behind what is queued."""
        if not self.finishing and not self.gone:
            self.finishing = True
            self._push()

    def close(self) -> None:
        """The process has closed its socket; the operating system goes on with what is left."""
        self.readers = self.writers = None
        self.closed = True
        if self.gone:
            return
        if (self.inbox or self.error) and not self.has_ended:
            self.abort()
        else:
            self.finish()
            self._retire()
            self._await_end()

    def _await_end(self) -> None:
        """The process has closed its socket and the peer knows: wait a minute for its FIN.

        After a power loss at the other end, say, none will come, and nothing is left here whose answer could be missed.
        """
        if self.closed and self.finish_seen and not self.at_end and not self.gone:
            self.timers.remove(self.alarm_due, self)
            self.alarm_due = self.clock.now + ORPHAN_SECONDS
            self.timers.add(self.alarm_due, self)

    def _retire(self) -> None:
        """Leave the machine's table once both directions are over; late copies of the peer's FIN are still answered."""
        if self.is_over:
            self.timers.remove(self.alarm_due, self)
            self.alarm_due = None
            self._leave_table()

    @property
    def is_over(self) -> bool:
        """Whether nothing will be sent any more."""
        return self.gone or (self.closed and self.at_end and self.finish_seen)

    @property
    def has_ended(self) -> bool:
        """Whether it is over, to a process that still has its socket: what Linux calls CLOSE."""
        return self.gone or (self.at_end and self.finish_seen)

    def _leave_table(self) -> None:
        self.machine.connections.pop(self, None)
        peer = self.peer
        if peer is not None and peer.is_over:
            # Each end holds the other: a cycle of garbage, were it left.
            self.peer = peer.peer = None

    def abort(self) -> None:
        """Forget the connection and tell the peer with RST."""
        if not self.gone:
            self.link.send(Reset(self.link, self.peer))
            self.forget()

    def forget(self) -> None:
        """As after a reset, or when the machine loses power: nothing is sent any more, nothing is kept."""
        self.gone = True
        timers = self.timers
        for packet in self.retrying:
            timers.remove(packet.due, packet)
        timers.remove(self.alarm_due, self)
        self.retrying.clear()
        self.early.clear()
        self.outgoing.forget()
        if self.listener is not None:
            self.listener.half_open -= 1
            self.listener = None
        self._leave_table()

    def fail(self, number: int) -> None:
        """Reset or time-out: both directions are over, and the process learns of it by its next operation."""
        if self.gone:
            return
        # After the peer's FIN a reset is news to the writer only, as on Linux: the reader has seen the end.
        self.error = errno.EPIPE if self.at_end and number == errno.ECONNRESET else number
        self.forget()
        if self.readers is not None and self.writers is not None:
            self.readers.wake()
            self.writers.wake()

    def tear_down(self) -> None:
        """Something in between has reset the connection: both ends see it."""
        if self.peer is not None:
            self.peer.fail(errno.ECONNRESET)
        self.fail(errno.ECONNRESET)

    # Outgoing.

    def _push(self) -> None:
        """Send what the window allows."""
        outgoing = self.outgoing
        while outgoing.queue and outgoing.sent_bytes < outgoing.window_edge:
            self._transmit(outgoing.next_segment())
        if outgoing.queue:
            self.await_acknowledgement()
        elif self.finishing and not self.finished:
            self.finished = True
            self._transmit(memoryview(b""), fin=True)

    def _transmit(self, data: memoryview, fin: bool = False) -> None:
        segment = Segment(self, self.segments, data, fin)
        self.segments += 1
        if self.number < 0:
            here, there = self.recorded_names
            name = f"tcp {self.machine.name}:{here}->{self.link.destination.name}:{there}"
            self.number = self._run.register("connection", name)
        self._run.message_entered(self)
        self.link.send(segment)

    def established(self) -> None:
        """The handshake is complete at this end: wake the task that connects, and tell the peer."""
        self.connecting = False
        if self.writers is not None:
            self.writers.wake()
        self._transmit(memoryview(b""))

    def acknowledged(self, received_bytes: int, window_edge: int) -> None:
        """The peer has sent an acknowledgement, which arrives when the link back lets it."""
        outgoing = self.outgoing
        outgoing.acknowledged(self.back.acknowledgement_arrives_at(), received_bytes, window_edge)
        if outgoing.queue or self.writers:
            self.await_acknowledgement()
        elif len(outgoing.acknowledgements) > 32:
            outgoing.see_acknowledgements(self.clock.time)

    def finish_acknowledged(self) -> None:
        """The peer has this end's FIN."""
        self.finish_seen = True
        self._retire()
        self._await_end()

    def await_acknowledgement(self) -> None:
        """Be called when the next acknowledgement arrives, if one is on its way; until then there is nothing to do."""
        due = self.outgoing.next_arrival
        if due is None:
            return
        if self.alarm_due is not None:
            if primal_of(self.alarm_due) <= primal_of(due):
                return
            self.timers.remove(self.alarm_due, self)
        self.alarm_due = due
        self.timers.add(due, self)

    def fire(self) -> None:
        """An acknowledgement has arrived that was waited for: send on, and let the writer that waits for room go on.

        Of a connection that is half open, or closed and waiting for the other end to close: its time is over.
        """
        self.alarm_due = None
        if self.listener is not None or (self.closed and self.finish_seen):
            self.forget()
            return
        self.outgoing.see_acknowledgements(self.clock.time)
        if self.gone:
            return
        self._push()
        if self.writers:
            if 3 * self.outgoing.room >= SEND_BUFFER_BYTES:
                self.writers.wake()
            else:
                self.await_acknowledgement()

    # Incoming.

    def arrived(self, segment: Segment) -> None:
        """A segment has come; keep it until those before it have, and acknowledge."""
        sender = segment.connection
        if self.gone:
            self.link.send(Reset(self.link, sender))
            return
        if segment.number >= self.expected:
            self.early[segment.number] = segment
            news = False
            while (following := self.early.pop(self.expected, None)) is not None:
                self.expected += 1
                news = True
                self._take(following)
            if news and self.readers is not None and not self.gone:
                self.readers.wake()
        if self.gone:
            return
        if self.link.is_open():
            self.advertised_edge = self.read_bytes + RECEIVE_BUFFER_BYTES
            sender.acknowledged(self.received_bytes, self.advertised_edge)
            if segment.fin:
                sender.finish_acknowledged()
        else:
            segment.lost()  # the sender cannot know that it has come

    def _take(self, segment: Segment) -> None:
        if self.listener is not None:
            listener, self.listener = self.listener, None
            self.timers.remove(self.alarm_due, self)
            self.alarm_due = None
            if not listener.established(self):
                self.abort()
        if self.gone:
            return
        self._run.message_left(segment.connection)
        if segment.fin:
            self.at_end = True
            self._retire()
        elif segment.data:
            if self.closed:
                self.abort()  # bytes for a socket that the process has closed
                return
            if self.read_shut and self.finishing:
                # For one that it has shut down in both directions: RFC 1122, 4.2.2.13, as Linux does it.
                self.link.send(Reset(self.link, self.peer))
                self.fail(errno.ECONNRESET)
                return
            self.inbox += segment.data
            self.received_bytes += len(segment.data)

    def advertise(self, attempt: int) -> None:
        """Tell the sender that there is room again; if that cannot get through, again later, as probes would ask."""
        if self.peer is None or self.gone or self.peer.gone:
            return
        if self.link.is_open():
            self.advertised_edge = self.read_bytes + RECEIVE_BUFFER_BYTES
            self.peer.acknowledged(self.received_bytes, self.advertised_edge)
        elif attempt < RETRANSMISSIONS_MAX:
            due = self.clock.now + retry_seconds(self.retransmission_seconds, attempt)
            self.timers.add(due, WindowUpdate(self, attempt + 1))

    def _check(self) -> None:
        """Assert the invariants; for tests."""
        self.outgoing._check()
        assert all(number > self.expected for number in self.early), f"{self!r}: a segment was left in `early`"
        assert self.received_bytes - self.read_bytes == len(self.inbox), f"{self!r}: bytes that were not read"
        assert len(self.inbox) <= RECEIVE_BUFFER_BYTES, f"{self!r}: more than the window allowed"
        assert self.finishing >= self.finished >= self.finish_seen, f"{self!r}: the order of ending"
        assert all(packet.is_waiting and packet in self.timers.live for packet in self.retrying), f"{self!r}: retries"
        assert not self.gone or not (self.outgoing.queue or self.retrying or self.early), f"{self!r}: gone, and keeps"
        assert self.gone or self.peer is None or self.peer.peer is self, f"{self!r}: its peer has another"

    def __repr__(self) -> str:
        return (
            f"<Connection {self.local[0]}:{self.local[1]} to {self.remote[0]}:{self.remote[1]} on {self.machine.name}>"
        )
