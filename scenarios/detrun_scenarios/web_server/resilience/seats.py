"""`Seats`: so many may be at work at once, and the others wait in the order in which they came.

A seat that becomes free goes to the first who waits, at that moment and not when the waiting task next runs, so that a
task that comes in between cannot take it. The price is a race that each such queue has. A waiting task may be
cancelled, and before it runs again a seat may be handed to it; it wakes with the cancellation, and holds a seat that it
does not know of. `give_up` looks for that and gives the seat back.

The size may change at any time; `fill` then seats those for whom there is room. It may be a Value: in an exact run
there is room while less than the size, rounded, is taken. A softened run (`detrun.relaxed`) says for each who waited
which part of the wait a little more room would have spared.

Source: the hand-over is that of trio's `Semaphore`; the race was found in `httpcore` (issues 642 and 785) and in
`psycopg_pool` (issue 230) after years of use.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from detrun import relaxed


class Waiter:
    """One who waits; `granted` is set when a seat is theirs."""

    __slots__ = ("granted",)

    def __init__(self) -> None:
        self.granted = trio.Event()


class Seats:
    """See the module.

    Args:
        size: seats; may be a Value.

    Attributes:
        taken: seats that are not free.
        waiting: those who wait, the first on the left.
        waits: seconds that each who got a seat has waited.
        spared: seconds of these that more room would have spared; 0 in an exact run.
    """

    def __init__(self, size: Any) -> None:
        self.size = size
        self.taken = 0
        self.waiting: deque[Waiter] = deque()
        self.waits: list[Any] = []
        self.spared: Any = 0.0

    async def take(self) -> None:
        """Wait for a seat."""
        room = self._room()
        if room > 0.5 and not self.waiting:
            self.taken += 1
            self.waits.append(0.0)
            return
        began = trio.current_time()
        waiter = Waiter()
        self.waiting.append(waiter)
        try:
            await waiter.granted.wait()
        except trio.Cancelled:
            self.give_up(waiter)
            raise
        waited = trio.current_time() - began
        self.waits.append(waited)
        self.spared += waited * room

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[None]:
        """Wait for a seat, and have it for the block."""
        await self.take()
        try:
            yield
        finally:
            self.give_back()

    def give_back(self) -> None:
        """One leaves: the first who waits has the seat now."""
        self.taken -= 1
        self.fill()

    def fill(self) -> None:
        """Seat those who wait, as far as there is room."""
        while self.waiting and self._room() > 0.5:
            self.taken += 1
            self.waiting.popleft().granted.set()

    def give_up(self, waiter: Waiter) -> None:
        """One who waits is cancelled, and may have been handed a seat since."""
        if waiter.granted.is_set():
            self.give_back()
        else:
            self.waiting.remove(waiter)

    def _room(self) -> Any:
        """1 where a seat is free, else 0; between the two in a softened run."""
        return relaxed.threshold(self.size - self.taken, 0.5)
