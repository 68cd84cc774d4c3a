"""`Listener`: the backlog of a listening TCP socket."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from detrun.world.network.waiters import Waiters

T = TypeVar("T")


class Listener(Generic[T]):
    """Connections that were asked for at one socket and are not accepted yet.

    Attributes:
        readers: the task that waits for one to accept.
        backlog: how many may be ahead of ``accept``.
        half_open: handshakes begun here and not completed; never negative.
        accepted: established connections, the oldest first.
        is_closed: the socket has been closed.
    """

    __slots__ = ("accepted", "backlog", "half_open", "is_closed", "readers")

    def __init__(self, readers: Waiters, backlog: int) -> None:
        self.readers = readers
        self.backlog = backlog
        self.half_open = 0
        self.accepted: deque[T] = deque()
        self.is_closed = False

    def has_room(self) -> bool:
        """Whether one more handshake may begin."""
        return len(self.accepted) + self.half_open <= self.backlog

    def established(self, connection: T) -> bool:
        """A handshake is complete; False if the socket has been closed meanwhile."""
        self.half_open -= 1
        if self.is_closed:
            return False
        self.accepted.append(connection)
        self.readers.wake()
        return True
