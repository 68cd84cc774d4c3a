"""`LocalTimes`: the clocks of a world's nodes, behind trio's and Python's own functions of time.

While a world is open, ``trio.current_time``, ``trio.sleep``, deadlines, ``detrun.sleep``, ``time`` and ``datetime`` go
by the clocks of the node whose code calls, if these have been used; otherwise, and for the driver, by the run's.
A deadline is a moment of the clock of the code that set it; when that clock changes its rate, its deadlines move.
"""

from __future__ import annotations

from typing import Any

from detrun.world.services import process_here
from detrun.world.time.clocks import NodeClock
from detrun_scheduler.clock import primal_of
from detrun_scheduler.run import ActiveRun


class LocalTimes:
    """The clocks of one world's nodes in place of its run's. Satisfies `detrun_scheduler.clock.LocalTime`."""

    def __init__(self, run: ActiveRun) -> None:
        self.virtual = run.virtual_clock
        self.timers = run.timers
        self.set: dict[Any, tuple[NodeClock, Any]] = {}  # key -> clock and local deadline of its timer

    def _clock(self) -> NodeClock | None:
        process = process_here.get(None)
        clock = None if process is None else process.node.clock_if_used
        return clock if isinstance(clock, NodeClock) else None

    @property
    def now(self) -> Any:
        """The monotonic clock of the code that asks."""
        clock = self._clock()
        return self.virtual.now if clock is None else clock.monotonic()

    @property
    def wall(self) -> Any:
        """The wall clock of the code that asks, since the start of the calendar."""
        clock = self._clock()
        return self.virtual.now if clock is None else clock.wall_since_start()

    def true_seconds(self, seconds: Any) -> Any:
        """How much of the run's time ``seconds`` of the code that asks take."""
        clock = self._clock()
        if clock is None or primal_of(seconds) in (0.0, float("inf")):
            return seconds
        return clock.true_time_at(clock.monotonic() + seconds) - self.virtual.now

    def advance(self, seconds: Any) -> None:
        """``time.sleep``."""
        self.virtual.advance(self.true_seconds(seconds))

    def add(self, deadline: Any, key: Any) -> None:
        """Set a timer for a moment of the clock of the code that asks."""
        clock = self._clock()
        if clock is None:
            self.timers.add(deadline, key)
        else:
            clock.on_rate_change = self._rate_changed
            self.set[key] = clock, deadline
            self.timers.add(clock.true_time_at(deadline), key)

    def remove(self, deadline: Any, key: Any) -> None:
        """Take a timer back."""
        clock, local = self.set.pop(key, (None, deadline))
        self.timers.remove(deadline if clock is None else clock.true_time_at(local), key)

    def renew(self, deadline: Any, key: Any) -> None:
        """Another history of the same moment."""
        clock, _ = self.set.get(key, (None, deadline))
        if clock is None:
            self.timers.renew(deadline, key)
        else:
            self.set[key] = clock, deadline
            self.timers.renew(clock.true_time_at(deadline), key)

    def next_deadline(self) -> Any:
        """The earliest deadline, in the run's time."""
        return self.timers.next_deadline()

    def _rate_changed(self, clock: NodeClock) -> None:
        for key, (owner, deadline) in list(self.set.items()):
            if owner is clock and key in self.timers.live:
                self.timers.remove(deadline, key)
                self.timers.add(clock.true_time_at(deadline), key)
