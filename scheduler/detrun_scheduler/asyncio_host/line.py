"""`Line`: the order in which lanes take turns under ``asyncio_order="fifo"``.

The stock loop works in rounds. In each it takes what is queued and the timers that are due, runs these, and looks
again. Under this order lanes (`lanes.py`) run one at a time, in the order in which the stock loop would run their
handles.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol


class LaneInLine(Protocol):
    """A lane, as far as a line needs it."""

    has_ended: bool

    def wake(self) -> None:
        """Make it runnable if it is not."""


class LoopWithLine(Protocol):
    """An event loop, likewise."""

    last_round: dict[Any, int] | None  # it is to stop at the end of the round

    def push_timer(self, timer: Any) -> None:
        """A timer is due: queue what it calls."""

    def halt(self) -> None:
        """Let `run_forever` return."""


class Line:
    """Lanes, once for each handle, in the order in which the stock loop has the handles.

    Invariant: the first ``left`` of ``lanes`` are this round's, but for lanes that have ended.
    """

    __slots__ = ("due", "is_open", "lanes", "left")

    def __init__(self) -> None:
        self.lanes: deque[LaneInLine] = deque()
        self.due: list[Any] = []  # timers that have fired in this round
        self.left = 0  # handles of this round that have not run
        self.is_open = True  # none has: what is queued now belongs to it

    def put(self, lane: LaneInLine) -> None:
        """A handle has been queued in ``lane``."""
        self.lanes.append(lane)
        if self.is_open:
            self.left += 1
        if self.lanes[0] is lane:
            lane.wake()

    def put_timer(self, timer: Any, push: Callable[[Any], None]) -> None:
        """A timer is due: it joins the line when the round is over."""
        if self.is_open:
            push(timer)
        else:
            self.due.append(timer)

    def is_next(self, lane: LaneInLine) -> bool:
        """Whether it is the turn of ``lane``."""
        return bool(self.lanes) and self.lanes[0] is lane

    def went(self, loop: LoopWithLine) -> None:
        """The first has had its turn."""
        lanes = self.lanes
        lanes.popleft()
        self.left -= 1
        while lanes and lanes[0].has_ended:
            lanes.popleft()
            self.left -= 1
        if self.left <= 0:
            self.open(loop.push_timer)
            if loop.last_round is not None:
                loop.halt()

    def open(self, push: Callable[[Any], None]) -> None:
        """Begin a round, with what is queued and the timers that are due."""
        self.left, self.is_open = len(self.lanes), True
        due, self.due = self.due, []
        for timer in due:
            push(timer)
