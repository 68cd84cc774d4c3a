"""`NodeClock`: the clocks of one machine, which differ from the true time.

A machine has a monotonic clock, which counts from its boot and never goes back, and a wall clock, which says what day
it is and can be set. Both run at a rate that is not quite 1: the *drift* (a constant), and the *wander* (a random walk
of the rate, drawn for each interval of true time). The wall clock is off by its *skew*, jumps by *steps*, and is moved
gently by *slews* and by the smear of a leap second. Both may be read only to a *resolution*.

Every reading is a function of true time, that of the run, piecewise linear and increasing for the monotonic clock; it
can be inverted, which is how long a sleep of so many local seconds really takes. Skew, drift and all other numbers may
be `Value`s, so that what a program does with wrong clocks is differentiable in how wrong they are.

Sources: Mills, "Computer Network Time Synchronization", 2nd ed. 2010 (offset, drift, wander); Allan, 1966 (random walk
of frequency as the long-term noise of an oscillator); Google's leap smear, 24 hours linear, noon to noon.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import trio

from detrun.primitives import draws
from detrun.primitives.sleep import sleep_true
from detrun.world.fault_counts import FaultCounts
from detrun_scheduler import current
from detrun_scheduler.clock import primal_of
from detrun_scheduler.environment.virtual_time import WALL_START_SECONDS
from detrun_scheduler.errors import UsageError


@dataclass(frozen=True, slots=True)
class Wander:
    """The rate walks: every ``interval_seconds`` it changes by a normal number of standard deviation ``std``."""

    std: Any
    interval_seconds: float = 1.0


class _Segment(NamedTuple):
    """From ``start`` on the machine's oscillator shows ``shown`` plus ``rate`` for each second."""

    start: Any  # true seconds
    shown: Any
    rate: Any


class _Ramp(NamedTuple):
    """The wall clock is moved by ``amount`` while the oscillator goes from ``start`` on for ``seconds``."""

    start: Any
    seconds: Any
    amount: Any


class NodeClock:
    """The clocks of one machine. Read it inside a run.

    Args:
        name: in reports, and the key of its random draws.
        skew: wall clock minus true time at the start, in seconds.
        drift: rate minus 1: 50e-6 gains 50 microseconds a second.
        wander: a random walk of the rate; None for a steady one.
        resolution: readings are rounded down to a multiple of it; 0 for exact ones.
        wall_start_seconds: what a right wall clock shows at true time 0, in seconds since 1970.
        on_fault: told ``"clock step"`` or ``"clock drift"`` when the clock is disturbed.
    """

    def __init__(
        self,
        name: str = "clock",
        *,
        skew: Any = 0.0,
        drift: Any = 0.0,
        wander: Wander | None = None,
        resolution: float = 0.0,
        wall_start_seconds: float = WALL_START_SECONDS,
        on_fault: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self.wander = wander
        self.resolution = resolution
        self.wall_start_seconds = wall_start_seconds
        self.on_fault = on_fault
        self._skew = skew  # with all steps so far
        self._drift = _checked_drift(drift)
        self._walked: list[Any] = [0.0]  # the wander in each interval
        self._segments = [_Segment(0.0, 0.0, 1.0 + drift)]
        self._starts = [0.0]  # primals of the segments' starts
        self._ramps: list[_Ramp] = []
        self._booted: Any = 0.0  # what the oscillator showed then
        self.on_rate_change: Callable[[NodeClock], None] | None = None
        self._sleepers: dict[trio.CancelScope, None] = {}

    # Reading.

    def monotonic(self) -> Any:
        """Seconds since the boot of this machine, as it counts them."""
        return self._rounded(self._shown_at(_true_now()) - self._booted)

    def now(self) -> Any:
        """Seconds since 1970, as this machine believes."""
        return self._rounded(self.wall_start_seconds + self._wall_at(_true_now()))

    def wall_since_start(self) -> Any:
        """The wall clock, counted from what a right one shows at true time 0."""
        return self._rounded(self._wall_at(_true_now()))

    def error(self) -> Any:
        """The wall clock minus the true time: what no machine can know."""
        true = _true_now()
        return self._wall_at(true) - true

    def true_time_at(self, monotonic: Any) -> Any:
        """The true time at which the monotonic clock shows so many seconds, if its drift is not changed meanwhile."""
        shown = monotonic + self._booted
        goal = primal_of(shown)
        while self.wander is not None and primal_of(self._shown_by(self._segments[-1], self._ends())) < goal:
            self._walk()
        index = bisect_right([primal_of(segment.shown) for segment in self._segments], goal) - 1
        segment = self._segments[max(index, 0)]
        return segment.start + (shown - segment.shown) / segment.rate

    # Sleeping.

    async def sleep(self, seconds: Any) -> None:
        """Sleep for so many seconds of this machine's monotonic clock; a change of drift meanwhile is heeded.

        Raises:
            UsageError: ``seconds`` is negative.
        """
        if not primal_of(seconds) >= 0:
            raise UsageError(f"clock {self.name!r}: cannot sleep for {primal_of(seconds)!r} seconds; give at least 0")
        await self._sleep_until_shown(self._shown_at(_true_now()) + seconds)

    async def sleep_until(self, monotonic: Any) -> None:
        """Sleep until the monotonic clock shows so many seconds, or more; a checkpoint if it does already."""
        await self._sleep_until_shown(monotonic + self._booted)
        # Rounding may wake a sleeper before its clock shows the goal, by less than the sleep that would be left.
        while primal_of(self._shown_at(true := _true_now()) - self._booted) < primal_of(monotonic):
            await sleep_true(math.ulp(primal_of(true)))

    async def _sleep_until_shown(self, shown: Any) -> None:
        while True:
            with trio.CancelScope() as changed:
                self._sleepers[changed] = None
                try:
                    remaining = self.true_time_at(shown - self._booted) - _true_now()
                    await sleep_true(remaining if primal_of(remaining) > 0.0 else 0.0)
                    return
                finally:
                    del self._sleepers[changed]

    # Disturbing.

    def step(self, seconds: Any) -> None:
        """Set the wall clock forward, or back, at once. The monotonic clock does not notice."""
        self._skew = self._skew + seconds
        self._tell("clock step")

    def slew(self, seconds: Any, over: Any) -> None:
        """Move the wall clock gently, in the course of ``over`` local seconds, as ``adjtime`` does.

        Raises:
            UsageError: it would have to run backward.
        """
        self._ramp(self._shown_at(_true_now()), over, seconds)

    def smear_leap(self, wall: Any, over: Any = 86_400.0, seconds: Any = -1.0) -> None:
        """Smear a leap second over the time around ``wall`` (seconds since 1970) instead of stepping.

        ``seconds`` is -1 for an inserted second, which the clock has to lose.
        """
        until = wall - self.now()
        self._ramp(self._shown_at(_true_now()) + until - over / 2.0, over, seconds)

    def _ramp(self, start: Any, over: Any, seconds: Any) -> None:
        if not primal_of(over) > abs(primal_of(seconds)):
            raise UsageError(
                f"clock {self.name!r}: moving the wall clock by {primal_of(seconds)!r} s in {primal_of(over)!r} s "
                "would let it stand or run backward; give it more time, or step()"
            )
        self._ramps.append(_Ramp(start, over, seconds))

    def set_drift(self, drift: Any) -> None:
        """Change the drift from now on; sleepers on this clock wake accordingly."""
        true = _true_now()
        shown = self._shown_at(true)
        self._drift = _checked_drift(drift)
        kept = max(bisect_right(self._starts, primal_of(true)), 1)
        del self._segments[kept:], self._starts[kept:]
        self._append(_Segment(true, shown, self._rate_at(primal_of(true))))
        self._tell("clock drift")
        for scope in list(self._sleepers):
            scope.cancel()
        if self.on_rate_change is not None:
            self.on_rate_change(self)

    def power_on(self) -> None:
        """The machine boots: its monotonic clock begins anew. The wall clock has a battery."""
        self._booted = self._shown_at(_true_now())

    @property
    def drift(self) -> Any:
        """The rate minus 1, without the wander."""
        return self._drift

    def report_faults_to(self, counts: FaultCounts) -> None:
        """Have steps and changes of drift counted."""
        self.on_fault = counts.count

    # Inside.

    def _tell(self, fault: str) -> None:
        if self.on_fault is not None:
            self.on_fault(fault)

    def _rounded(self, reading: Any) -> Any:
        return reading // self.resolution * self.resolution if self.resolution else reading

    def _wall_at(self, true: Any) -> Any:
        shown = self._shown_at(true)
        wall = shown + self._skew
        for ramp in self._ramps:
            since = shown - ramp.start
            if primal_of(since) >= primal_of(ramp.seconds):
                wall = wall + ramp.amount
            elif primal_of(since) > 0.0:
                wall = wall + ramp.amount * (since / ramp.seconds)
        return wall

    def _shown_at(self, true: Any) -> Any:
        primal = primal_of(true)
        while self.wander is not None and self._ends() <= primal:
            self._walk()
        index = bisect_right(self._starts, primal) - 1
        return self._shown_by(self._segments[max(index, 0)], true)

    def _shown_by(self, segment: _Segment, true: Any) -> Any:
        return segment.shown + (true - segment.start) * segment.rate

    def _append(self, segment: _Segment) -> None:
        self._segments.append(segment)
        self._starts.append(primal_of(segment.start))

    def _ends(self) -> float:
        """The true time until which the segments are drawn."""
        if self.wander is None:
            return math.inf
        interval = self.wander.interval_seconds
        return (math.floor(self._starts[-1] / interval + 1e-9) + 1) * interval

    def _walk(self) -> None:
        """Draw one more interval."""
        end = self._ends()
        shown = self._shown_by(self._segments[-1], end)
        self._append(_Segment(end, shown, self._rate_at(end)))

    def _rate_at(self, true: float) -> Any:
        if self.wander is None:
            return 1.0 + self._drift
        index = math.floor(true / self.wander.interval_seconds + 1e-9)
        while len(self._walked) <= index:
            # Its own key for each interval: the rate is a function of time, whatever reads the clock first.
            key = ("clock", self.name, len(self._walked))
            self._walked.append(self._walked[-1] + draws.normal(0.0, self.wander.std, key=key))
        rate = 1.0 + self._drift + self._walked[index]
        return rate if primal_of(rate) > 0.0 else rate * 0.0 + 1e-9  # time never stands: a clock that could not be read


def _checked_drift(drift: Any) -> Any:
    if not -1.0 < primal_of(drift) < math.inf:
        raise UsageError(
            f"drift={primal_of(drift)!r} is not valid; give a rate above -1, at which the clock runs forward"
        )
    return drift


def _true_now() -> Any:
    return current.require("NodeClock").virtual_clock.now
