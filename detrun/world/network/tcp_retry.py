"""Packets of TCP that are sent again until they have been received, or the connection is given up.

If such a packet is lost, or what it calls for is, it waits until its attempt has had its time and is sent again; each
attempt has twice the time of the one before. The timer is set only for what is known to be lost, so nothing is
repeated that is merely late.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from detrun.world.network.packet import Packet, Way
from detrun_scheduler.clock import TimerHeap, VirtualClock, primal_of

HEADER_BYTES = 40
RETRANSMISSIONS_MAX = 15
RETRANSMISSION_SECONDS_MAX = 120.0


def retry_seconds(first: float, attempts: int) -> float:
    """The time of the attempt after ``attempts`` failed ones, if the first has ``first`` seconds."""
    return min(first * 2.0**attempts, RETRANSMISSION_SECONDS_MAX)


class Sender(Protocol):
    """A connection as its packets see it."""

    gone: bool
    clock: VirtualClock
    timers: TimerHeap
    retransmission_seconds: float
    retrying: dict[Persistent, None]


class Persistent(Packet):
    """A packet that is sent again until the peer has it, or the connection is given up.

    Invariant: ``is_waiting``, membership in its connection's ``retrying`` and a timer at ``due`` go together.
    """

    __slots__ = ("attempts", "connection", "due", "is_waiting")
    protocol = "tcp"
    attempts_max: ClassVar[int] = RETRANSMISSIONS_MAX + 1
    first_seconds: ClassVar[float | None] = None  # None: as the world says

    def __init__(self, connection: Sender, link: Way, size: int) -> None:
        super().__init__(link, size)
        self.connection: Sender = connection
        self.attempts = 0  # that have failed
        self.is_waiting = False  # for the next attempt, or for giving up
        self.due: Any = 0.0

    def lost(self) -> None:
        connection = self.connection
        if connection.gone:
            return
        first = connection.retransmission_seconds if self.first_seconds is None else self.first_seconds
        due = self.sent_at + retry_seconds(first, self.attempts)
        self.due = due if primal_of(due) >= connection.clock.time else connection.clock.now
        self.attempts += 1
        self.is_waiting = True
        connection.retrying[self] = None
        connection.timers.add(self.due, self)

    def send_again(self) -> bool:
        """The time of an attempt that failed is over; False if it was the last."""
        self.is_waiting = False
        self.connection.retrying.pop(self, None)
        if self.attempts >= self.attempts_max:
            return False
        self.link.send(self)
        return True
