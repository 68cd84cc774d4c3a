"""`Seats`: so many may be at work at once, and the others wait in the order in which they came.

A seat that becomes free goes to the first who waits, at that moment and not when the waiting task next runs, so that a
task that comes in between cannot take it. The price is a race that each such queue has. A waiting task may be
cancelled, and before it runs again a seat may be handed to it; it wakes with the cancellation, and holds a seat that it
does not know of. `give_up` looks for that and gives the seat back.

The size may change at any time; `fill` then seats those for whom there is room: while less than the size, rounded, is
taken.

The size may be a Value. Seats are counted, so that a run has no derivative by their number. A softened run
(`detrun.relaxed`) goes on as the exact one does, and counts what a little more room would have spared as if customers
were a fluid, served in proportion to the seats. Who waits for a seat that has not been free for t seconds would have
had it after ``t * c / (c + 1)`` with one more of c seats. That holds the better the longer the queue lasts, and leaves
out what waits elsewhere.

Source: the hand-over is that of trio's `Semaphore`; the race was found in `httpcore` (issues 642 and 785) and in
`psycopg_pool` (issue 230) after years of use.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from detrun import relaxed
from detrun.ad.value import primal_of
from detrun.checkers.transactions import Place, noted_place

# Seats to each side of the size, of which a softened run counts parts.
EDGE = 4


class Waiter:
    """One who waits.

    Attributes:
        granted: set when a seat is theirs.
        handed_in: where that was.
        since: the moment from which on their seat has not been free.
    """

    __slots__ = ("granted", "handed_in", "since")

    def __init__(self) -> None:
        self.granted = trio.Event()
        self.handed_in: Place | None = None
        self.since: Any = None

    def grant(self, since: Any) -> None:
        """A seat is theirs from now on."""
        self.since = since
        self.handed_in = noted_place(sys._getframe(1), is_done_here=True)
        self.granted.set()


class Seats:
    """See the module.

    Args:
        size: seats; may be a Value.

    Attributes:
        taken: seats that are not free.
        waiting: those who wait, the first on the left.
        waits: seconds that each who got a seat has waited.
        spared: seconds of these that more room would have spared: 0, with a derivative by the size in a softened run.
        raced: where the last seat was handed over whose new owner had been cancelled, and where that one gave up: what
            the invariant of seats names.
    """

    def __init__(self, size: Any) -> None:
        self.size = size
        self.taken = 0
        self.waiting: deque[Waiter] = deque()
        self.waits: list[Any] = []
        self.spared: Any = 0.0
        self.raced: tuple[Place | None, Place | None] = None, None

    async def take(self) -> Any:
        """Wait for a seat; the moment from which on it has not been free."""
        if self._has_room() and not self.waiting:
            self.taken += 1
            self.waits.append(0.0)
            return trio.current_time()
        began = trio.current_time()
        waiter = Waiter()
        self.waiting.append(waiter)
        try:
            await waiter.granted.wait()
        except trio.Cancelled:
            self.give_up(waiter)
            if waiter.granted.is_set():
                self.raced = waiter.handed_in, noted_place(is_done_here=True)
            raise
        now = trio.current_time()
        self.waits.append(now - began)
        self.spared += (now - waiter.since) * self._more_seats() / max(self.size, 1.0)
        return waiter.since

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[None]:
        """Wait for a seat, and have it for the block."""
        since = await self.take()
        try:
            yield
        finally:
            self.give_back(since)

    def give_back(self, since: Any = None) -> None:
        """One leaves: the first who waits has the seat now.

        Args:
            since: as `take` gave it; None: now.
        """
        self.taken -= 1
        self.fill(since)

    def fill(self, since: Any = None) -> None:
        """Seat those who wait, as far as there is room; the first on a seat that has not been free since then."""
        while self.waiting and self._has_room():
            self.taken += 1
            self.waiting.popleft().grant(trio.current_time() if since is None else since)
            since = None

    def give_up(self, waiter: Waiter) -> None:
        """One who waits is cancelled, and may have been handed a seat since."""
        if waiter.granted.is_set():
            self.give_back(waiter.since)
        else:
            self.waiting.remove(waiter)

    def _has_room(self) -> bool:
        return bool(self.size - self.taken > 0.5)

    def _more_seats(self) -> Any:
        """0, with the derivative of their number: those at the edge count by how near they are to it."""
        edge = math.ceil(primal_of(self.size) - 0.5)
        margins = [self.size - seat - 0.5 for seat in range(edge - EDGE, edge + EDGE)]
        return relaxed.count(margins, straight_through=True) - EDGE
