"""TCP as its users see it: connections, byte streams in order, buffers that fill, resets and time-outs.

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

Sources: RFC 9293; numbers and corner cases as in Linux (``tcp_retries2``, ``tcp_syn_retries``, ``tcp_rmem``).
"""

from __future__ import annotations

import errno
import os
from collections import deque
from typing import TYPE_CHECKING, Any

from detrun.world.network.link import Link
from detrun.world.network.tcp_packets import (
    RETRANSMISSIONS_MAX,
    Persistent,
    Reset,
    Segment,
    WindowUpdate,
)
from detrun_scheduler.clock import primal_of

if TYPE_CHECKING:
    from detrun.world.nodes.node import Node
    from detrun.world.sockets.stream_sockets import TcpSocket

Address = tuple[str, int]

SEGMENT_BYTES_MAX = 1460  # Ethernet's 1500 less the headers
SEND_BUFFER_BYTES = 262_144
RECEIVE_BUFFER_BYTES = 131_072
RETRANSMISSION_SECONDS_MAX = 120.0
ORPHAN_SECONDS = 60.0  # tcp_fin_timeout
HALF_OPEN_SECONDS = 63.0  # tcp_synack_retries: five repetitions, after 1, 2, 4, 8 and 16 s, and 32 s for the last


def os_error(number: int) -> OSError:
    """The exception that the operating system's error ``number`` becomes."""
    return OSError(number, os.strerror(number))


class Connection:
    """One end of a TCP connection: what goes out, what has come in.

    Invariants: bytes of segments below ``expected`` have been put into ``inbox`` once and in order; ``queued_bytes`` is
    the length of ``queue`` together; at most `RECEIVE_BUFFER_BYTES` are on the way and unread together.
    """

    def __init__(self, node: Node, link: Link, back: Link, local: Address, remote: Address) -> None:
        self.node = node
        self.link = link  # to the peer
        self.back = back  # from the peer
        self.local = local
        self.remote = remote
        self.peer: Connection | None = None
        self.socket: TcpSocket | None = None  # None once the process has closed it
        self.listener: TcpSocket | None = None  # at the accepting end until the connection is established
        self.error = 0  # the errno that the next operation raises
        self.closed = False  # the process has closed its socket
        self.gone = False  # the operating system has forgotten it: whatever comes is answered with RST
        # Outgoing.
        self.queue: deque[memoryview] = deque()
        self.queued_bytes = 0
        self.sent_bytes = 0
        self.acknowledged_bytes = 0
        self.window_edge = RECEIVE_BUFFER_BYTES  # how many bytes the peer has allowed in all
        self.segments = 0
        self.finishing = False  # no more bytes will be queued
        self.finished = False  # FIN has been sent
        self.finish_seen = False  # and the peer has acknowledged it
        self.acknowledgements: list[tuple[Any, int, int]] = []  # (arrival, bytes received, window edge), not yet seen
        self.alarm_due: Any = None  # when `fire` will be called, for the next acknowledgement to arrive
        self.retrying: dict[Persistent, None] = {}  # what waits for its next attempt
        # Incoming.
        self.expected = 0
        self.early: dict[int, Segment] = {}
        self.inbox = bytearray()
        self.received_bytes = 0
        self.read_bytes = 0
        self.advertised_edge = RECEIVE_BUFFER_BYTES
        self.at_end = False  # FIN has come
        self.read_shut = False  # the process wants to read no more
        self._number = -1

    def accepted_by(self, node: Node, listener: TcpSocket) -> Connection:
        """The other end, made when the handshake begins at ``listener``."""
        other = Connection(node, self.back, self.link, self.remote, self.local)
        other.peer, self.peer = self, other
        other.listener = listener
        listener.half_open += 1
        node.connections[other] = None
        # The client may never come back, and half-open connections take places in the backlog.
        run = node.world.run
        other.alarm_due = run.virtual_clock.now + HALF_OPEN_SECONDS
        run.timers.add(other.alarm_due, other)
        return other

    # What a socket does.

    @property
    def room(self) -> int:
        """Bytes that the send buffer still takes."""
        return SEND_BUFFER_BYTES - self.queued_bytes - (self.sent_bytes - self.acknowledged_bytes)

    def has_room(self) -> bool:
        """Whether a writer is told to go on: a third of the buffer free, as on Linux, so no byte alone wakes it."""
        self._see_acknowledgements()
        return 3 * self.room >= SEND_BUFFER_BYTES

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Take as much of ``data`` as fits and send what the window allows; 0 if the buffer is full."""
        if self.room < len(data):
            self._see_acknowledgements()
        taken = min(len(data), self.room)
        if taken <= 0:
            self._await_acknowledgement()
            return 0
        self.queue.append(memoryview(bytes(data[:taken])))
        self.queued_bytes += taken
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
        self.socket = None
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
        """The process has closed its socket and the peer knows: wait for its FIN, though not for ever.

        After a power loss at the other end, say, none will come, and nothing is left here whose answer could be missed.
        """
        if self.closed and self.finish_seen and not self.at_end and not self.gone:
            run = self.node.world.run
            run.timers.remove(self.alarm_due, self)
            self.alarm_due = run.virtual_clock.now + ORPHAN_SECONDS
            run.timers.add(self.alarm_due, self)

    def _retire(self) -> None:
        """Leave the machine's table once both directions are over; late copies of the peer's FIN are still answered."""
        if self.is_over:
            self.node.world.run.timers.remove(self.alarm_due, self)
            self.alarm_due = None
            self._leave_table()

    @property
    def is_over(self) -> bool:
        """Whether nothing will be sent any more."""
        return self.gone or (self.closed and self.at_end and self.finish_seen)

    @property
    def has_ended(self) -> bool:
        """Whether it is no connection any more, to a process that still has its socket: what Linux calls CLOSE."""
        return self.gone or (self.at_end and self.finish_seen)

    def _leave_table(self) -> None:
        self.node.connections.pop(self, None)
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
        timers = self.node.world.run.timers
        for packet in self.retrying:
            timers.remove(packet.due, packet)
        timers.remove(self.alarm_due, self)
        self.retrying.clear()
        self.early.clear()
        self.queue.clear()
        self.queued_bytes = 0
        self.acknowledgements.clear()
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
        self._wake(readers=True, writers=True)

    def tear_down(self) -> None:
        """Something in between has reset the connection: both ends see it."""
        if self.peer is not None:
            self.peer.fail(errno.ECONNRESET)
        self.fail(errno.ECONNRESET)

    # Outgoing.

    def _push(self) -> None:
        """Send what the window allows."""
        while self.queue and self.sent_bytes < self.window_edge:
            head = self.queue[0]
            size = min(len(head), SEGMENT_BYTES_MAX, self.window_edge - self.sent_bytes)
            data = head[:size]
            if size == len(head):
                self.queue.popleft()
                # Small writes go out together as far as they are queued together, as Nagle's algorithm would do it.
                if self.queue and size < SEGMENT_BYTES_MAX:
                    data, size = self._gather(data)
            else:
                self.queue[0] = head[size:]
            self.queued_bytes -= size
            self.sent_bytes += size
            self._transmit(data)
        if self.queue:
            self._await_acknowledgement()
        elif self.finishing and not self.finished:
            self.finished = True
            self._transmit(memoryview(b""), fin=True)

    def _gather(self, data: memoryview) -> tuple[memoryview, int]:
        room = min(SEGMENT_BYTES_MAX, self.window_edge - self.sent_bytes) - len(data)
        parts = [data]
        while self.queue and room > 0:
            head = self.queue.popleft()
            parts.append(head[:room])
            if len(head) > room:
                self.queue.appendleft(head[room:])
            room -= len(parts[-1])
        gathered = b"".join(parts)
        return memoryview(gathered), len(gathered)

    def _transmit(self, data: memoryview, fin: bool = False) -> None:
        segment = Segment(self, self.segments, data, fin)
        self.segments += 1
        self.node.world.run.message_entered(self)
        self.link.send(segment)

    def establish(self) -> None:
        """Send the empty segment that completes the handshake."""
        self._transmit(memoryview(b""))

    def acknowledged(self, received_bytes: int, window_edge: int) -> None:
        """The peer has sent an acknowledgement, which arrives when the link back lets it."""
        self.acknowledgements.append((self.back.acknowledgement_arrives_at(), received_bytes, window_edge))
        if self.queue or (self.socket is not None and self.socket.writers):
            self._await_acknowledgement()
        elif len(self.acknowledgements) > 32:
            self._see_acknowledgements()

    def _see_acknowledgements(self) -> None:
        """Take in the acknowledgements that have arrived by now."""
        now = self.node.world.run.virtual_clock.time
        waiting = []
        for entry in self.acknowledgements:
            if primal_of(entry[0]) <= now:
                self.acknowledged_bytes = max(self.acknowledged_bytes, entry[1])
                self.window_edge = max(self.window_edge, entry[2])
            else:
                waiting.append(entry)
        self.acknowledgements = waiting

    def await_room(self) -> None:
        """A writer waits: see to it that it is woken."""
        self._await_acknowledgement()

    def _await_acknowledgement(self) -> None:
        """Be called when the next acknowledgement arrives; until then there is nothing to do."""
        if not self.acknowledgements:
            return
        due = min(self.acknowledgements, key=lambda entry: primal_of(entry[0]))[0]
        timers = self.node.world.run.timers
        if self.alarm_due is not None:
            if primal_of(self.alarm_due) <= primal_of(due):
                return
            timers.remove(self.alarm_due, self)
        self.alarm_due = due
        timers.add(due, self)

    def fire(self) -> None:
        """An acknowledgement has arrived that was waited for: send on, and let the writer that waits for room go on.

        Of a connection that is half open, or closed and waiting for the other end to close: its time is over.
        """
        self.alarm_due = None
        if self.listener is not None or (self.closed and self.finish_seen):
            self.forget()
            return
        self._see_acknowledgements()
        if self.gone:
            return
        self._push()
        if self.socket is not None and self.socket.writers:
            if 3 * self.room >= SEND_BUFFER_BYTES:
                self._wake(writers=True)
            else:
                self._await_acknowledgement()

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
            if news and not self.gone:
                self._wake(readers=True)
        if self.gone:
            return
        if self.link.is_open():
            self.advertised_edge = self.read_bytes + RECEIVE_BUFFER_BYTES
            sender.acknowledged(self.received_bytes, self.advertised_edge)
            if segment.fin:
                sender.finish_seen = True
                sender._retire()
                sender._await_end()
        else:
            segment.lost()  # the sender cannot know that it has come

    def _take(self, segment: Segment) -> None:
        if self.listener is not None:
            listener, self.listener = self.listener, None
            self.node.world.run.timers.remove(self.alarm_due, self)
            self.alarm_due = None
            listener.established(self)
        if self.gone:
            return
        self.node.world.run.message_left(segment.connection)
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
            run = self.node.world.run
            run.timers.add(
                run.virtual_clock.now + self.node.world.retry_seconds(attempt), WindowUpdate(self, attempt + 1)
            )

    def _wake(self, readers: bool = False, writers: bool = False) -> None:
        if self.socket is not None:
            if readers:
                self.socket.readers.wake()
            if writers:
                self.socket.writers.wake()

    # What the run's journal asks of an object that messages enter and leave.

    @property
    def serial(self) -> int:
        """The run in which the direction from here to the peer has its number."""
        return self.node.world.run.serial

    @property
    def number(self) -> int:
        """The number of the direction from here to the peer among the objects of the run."""
        if self._number < 0:
            name = f"tcp {self.node.name}:{self.local[1]}->{self.link.destination.name}:{self.remote[1]}"
            self._number = self.node.world.run.register("connection", name)
        return self._number

    def __repr__(self) -> str:
        return f"<Connection {self.local[0]}:{self.local[1]} to {self.remote[0]}:{self.remote[1]} on {self.node.name}>"
