"""The send buffer of a TCP connection: cut into segments as the peer's window allows, freed by acknowledgements.

Bytes are queued in the pieces in which they were written. Small pieces that are queued together go out together, as
with Nagle's algorithm. Acknowledgements are cumulative and are looked at when room is asked for.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from detrun_scheduler.clock import primal_of

SEGMENT_BYTES_MAX = 1460  # Ethernet's 1500 less the headers
SEND_BUFFER_BYTES = 262_144
RECEIVE_BUFFER_BYTES = 131_072


class Outgoing:
    """What one end has written and the other has not acknowledged.

    Attributes:
        window_edge: how many bytes the peer has allowed in all.
        acknowledgements: (arrival, bytes received, window edge) of each that was not seen yet.
        next_arrival: the earliest arrival of these, the first of several at one time; None if there is none.

    Invariants: ``queued_bytes`` is the length of ``queue`` together; no piece in it is empty; ``acknowledged_bytes`` <=
    ``sent_bytes`` <= ``window_edge``; `room` is never negative.
    """

    __slots__ = (
        "acknowledged_bytes",
        "acknowledgements",
        "next_arrival",
        "queue",
        "queued_bytes",
        "sent_bytes",
        "window_edge",
    )

    def __init__(self) -> None:
        self.queue: deque[memoryview] = deque()
        self.queued_bytes = 0
        self.sent_bytes = 0
        self.acknowledged_bytes = 0
        self.window_edge = RECEIVE_BUFFER_BYTES
        self.acknowledgements: list[tuple[Any, int, int]] = []
        self.next_arrival: Any = None

    @property
    def room(self) -> int:
        """Bytes that the buffer still takes."""
        return SEND_BUFFER_BYTES - self.queued_bytes - (self.sent_bytes - self.acknowledged_bytes)

    def next_segment(self) -> memoryview:
        """The bytes that go out next, which count as sent. Something is queued, and the window is open."""
        head = self.queue[0]
        size = min(len(head), SEGMENT_BYTES_MAX, self.window_edge - self.sent_bytes)
        data = head[:size]
        if size == len(head):
            self.queue.popleft()
            if self.queue and size < SEGMENT_BYTES_MAX:
                data = self._gather(data)
                size = len(data)
        else:
            self.queue[0] = head[size:]
        self.queued_bytes -= size
        self.sent_bytes += size
        return data

    def _gather(self, data: memoryview) -> memoryview:
        room = min(SEGMENT_BYTES_MAX, self.window_edge - self.sent_bytes) - len(data)
        parts = [data]
        while self.queue and room > 0:
            head = self.queue.popleft()
            parts.append(head[:room])
            if len(head) > room:
                self.queue.appendleft(head[room:])
            room -= len(parts[-1])
        return memoryview(b"".join(parts))

    def acknowledged(self, arrives_at: Any, received_bytes: int, window_edge: int) -> None:
        """The peer has sent an acknowledgement, which arrives at a virtual time."""
        self.acknowledgements.append((arrives_at, received_bytes, window_edge))
        if self.next_arrival is None or primal_of(arrives_at) < primal_of(self.next_arrival):
            self.next_arrival = arrives_at

    def see_acknowledgements(self, now: float) -> None:
        """Take in the acknowledgements that have arrived by ``now``, virtual seconds."""
        waiting = []
        for entry in self.acknowledgements:
            if primal_of(entry[0]) <= now:
                self.acknowledged_bytes = max(self.acknowledged_bytes, entry[1])
                self.window_edge = max(self.window_edge, entry[2])
            else:
                waiting.append(entry)
        self.acknowledgements = waiting
        self.next_arrival = min(waiting, key=_arrival)[0] if waiting else None

    def forget(self) -> None:
        """The connection is gone: nothing is sent any more."""
        self.queue.clear()
        self.queued_bytes = 0
        self.acknowledgements.clear()
        self.next_arrival = None

    def _check(self) -> None:
        """Assert the invariants; for tests."""
        assert self.queued_bytes == sum(map(len, self.queue)), "queued_bytes"
        assert all(self.queue), "an empty piece is queued"
        assert 0 <= self.acknowledged_bytes <= self.sent_bytes <= self.window_edge, "acknowledged <= sent <= allowed"
        assert self.room >= 0, "more is kept than the send buffer holds"
        earliest = min(self.acknowledgements, key=_arrival)[0] if self.acknowledgements else None
        assert self.next_arrival is earliest, "next_arrival"


def _arrival(entry: tuple[Any, int, int]) -> float:
    return float(primal_of(entry[0]))
