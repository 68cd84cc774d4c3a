"""Decisions of a run as one draw sees them: a tree, of which the run shows one path.

Hold all draws but one, and let its outcome ``y`` run over the line. Until a decision falls, the run does the same for
every ``y``, so the margin of the decision is one smooth function of ``y``; the outcomes with which the run comes to it
are an interval, and the point where the margin vanishes cuts that in two. What lies beyond is decided by other
decisions. So the run shows, for each decision on its way, the interval and the cut, wherever in the interval it is:

- a comparison is a decision with one cut;
- of timers that wait together, which fires first is one decision, with a cut wherever another one would be first;
- a timer that is set is a decision, too: whether it lies in the past.

Where a margin is affine in ``y``, all of this is known from the run itself. A margin that bends (`Along.bent`) has its
zero elsewhere than its tangent, so cuts and intervals behind it are marked as bent.

Source: Gong and Ho, "Smoothed (conditional) perturbation analysis of discrete event dynamical systems", IEEE TAC 32
(1987), conditions on what is known when an event is decided in the same way: their rate of ``y`` at the cut over the
probability of the interval is the hazard rate, where an exponential draw has one that is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any

from detrun.ad.sites import Margin
from detrun.ad.value import primal_of
from detrun.gradients.expected.dependence import Along
from detrun.gradients.expected.taped_run import Event, Pass, TapedRun
from detrun.gradients.expected.timer_log import Moment, Timer, TimerEvent
from detrun.primitives.draw_log import Draw

DISCRETE = frozenset({"bernoulli", "binomial", "choice", "geometric", "poisson"})
# Nothing jumps at these: the number is the same on both sides, or the two sides go the same way.
CONTINUOUS = frozenset({"maximum", "minimum", "abs", "relu", "==", "!=", "bool"})
POINTS = frozenset({"==", "!=", "bool"})
ROUNDED = frozenset({"int", "trunc", "floor", "ceil", "round", "is_integer", "//", "%"})
OF_UNKNOWN_LAW = ("disk fault", "external function")
# Their margins are noted to first order.
BENT_KINDS = frozenset({"poisson", "binomial"})
SAME = 2e-9  # relative: two points of a line


@dataclass(frozen=True, slots=True)
class Cut:
    """A point where a decision comes out otherwise.

    Attributes:
        place: of the decision among the events of the run.
        at: the outcome of the draw there.
        low, high: between which outcomes the run comes to the decision.
        timers: the numbers of the two timers, of which another one is first; None at a comparison, one number where a
            timer is compared with the time it was set.
        bent: whether ``at`` is a guess.
        bent_interval: whether ``low`` and ``high`` are.
        at_kink: whether it is the end of that interval, set by a maximum, minimum or absolute value; the decision is
            seen from this side of it only, or from both, each with an interval of its own.
    """

    place: int
    at: float
    low: float
    high: float
    timers: tuple[int, ...] | None = None
    bent: bool = False
    bent_interval: bool = False
    at_kink: bool = False

    def seeds(self, run: TapedRun) -> dict[int, float]:
        """The margin that vanishes here, as a weighted sum of entries of the tape."""
        event = run.events[self.place]
        if self.timers is None:
            assert isinstance(event, Pass)
            return event.margin.seeds()
        assert isinstance(event, TimerEvent)
        known = run.timing.timers
        moments = [known[one].deadline for one in self.timers]
        return _difference(moments[0], moments[1] if len(moments) > 1 else event.now)

    def margin(self, run: TapedRun) -> float:
        """How far a run is from it."""
        event = run.events[self.place]
        if self.timers is None:
            assert isinstance(event, Pass)
            return event.margin.value
        assert isinstance(event, TimerEvent)
        known = run.timing.timers
        moments = [known[one].deadline for one in self.timers]
        return moments[0].time - (moments[1] if len(moments) > 1 else event.now).time

    def where(self, run: TapedRun) -> str:
        """The line of the program, as far as it is known."""
        event = run.events[self.place]
        if self.timers is None:
            return str(event)
        lines = [run.timing.timers[one].line for one in self.timers]
        return f"timer order at {next((line for line in lines if line is not None), 'two timers of the run')}"


def _difference(left: Moment, right: Moment) -> dict[int, float]:
    return Margin(0.0, left.id, right.id, -1.0).seeds()


def signature(event: Event) -> Any:
    """Equal for events of two runs in which the same was decided."""
    if isinstance(event, TimerEvent):
        return event.sequence, event.fired, event.newest
    if isinstance(event, Draw):
        return event.address, event.outcome
    # A rounded number is noted with its nearest jump, which lies on either side.
    value = event.margin.value
    return event.site, None if event.kind in ROUNDED else (value > 0.0) - (value < 0.0)


def is_decided_alike(run: TapedRun, other: TapedRun, place: int) -> bool:
    """Whether two runs come to the decision at ``place`` on the same way."""
    events, others = run.events, other.events
    if len(events) <= place or len(others) <= place:
        return False
    mine, its = events[place], others[place]
    if isinstance(mine, Pass) and isinstance(its, Pass):
        is_same = mine.site == its.site
    else:
        is_same = type(mine) is type(its)
    return is_same and all(map(_alike, events[:place], others[:place]))


def _alike(event: Event, other: Event) -> bool:
    return type(event) is type(other) and signature(event) == signature(other)


def cuts_on(run: TapedRun, draw: Draw, moves: Along, to: float = math.inf) -> Iterator[Cut]:
    """The cuts of the decisions on the run's path that this draw can change, in order; up to the place ``to``."""
    assert draw.noise_id is not None
    walk = _Walk(float(primal_of(draw.outcome)), moves)
    timing = run.timing
    # What was noted before the draw was made does not move with it.
    begin = timing.first_after(draw.noise_id)
    timers = _Timers(timing.timers, moves, timing.waiting(begin), timing.newest(begin))
    for place in range(begin, len(run.events)):
        if place > to:
            return
        event = run.events[place]
        if isinstance(event, Pass):
            yield from walk.point(place, event) if event.kind in POINTS else walk.comparison(place, event)
        elif isinstance(event, TimerEvent):
            for number in timers.set_up_to(event.newest):
                deadline = timers.known[number].deadline
                if deadline.id in moves.slopes or event.now.id in moves.slopes:
                    seeds = _difference(deadline, event.now)
                    yield from walk.one(place, seeds, [deadline.time - event.now.time], (number,))
            timers.end(event.sequence)
            if event.fired and len(timers.groups) > 1 and event.sequence in timers.known:
                yield from walk.race(place, event.sequence, timers)


class _Timers:
    """The timers that wait, in groups that move alike: of each only the earliest can be first."""

    def __init__(self, known: Mapping[int, Timer], moves: Along, waiting: list[tuple[float, int]], newest: int) -> None:
        self.known = known
        self.slopes = moves.slopes
        self.newest = newest
        heapify(waiting)
        self.groups: dict[float, list[tuple[float, int]]] = {0.0: waiting}
        self.ended: set[int] = set()

    def set_up_to(self, newest: int) -> Iterator[int]:
        """Those that have been set since."""
        for number in range(self.newest + 1, newest + 1):
            timer = self.known.get(number)
            if timer is not None:
                heappush(self.groups.setdefault(self.slope(number), []), (timer.deadline.time, number))
                yield number
        self.newest = max(self.newest, newest)

    def slope(self, number: int) -> float:
        """How the deadline moves."""
        return self.slopes.get(self.known[number].deadline.id, 0.0)

    def end(self, number: int) -> None:
        """It has fired or was taken back."""
        self.ended.add(number)

    def earliest(self) -> Iterator[int]:
        """Of each group."""
        for group in self.groups.values():
            while group and group[0][1] in self.ended:
                heappop(group)
            if group:
                yield group[0][1]


class _Walk:
    """The interval of outcomes with which a run comes to where the walk is."""

    def __init__(self, here: float, moves: Along) -> None:
        self.here = here
        self.moves = moves
        self.low, self.high = -math.inf, math.inf
        self.low_at_kink = self.high_at_kink = False
        self.is_bent = False

    def comparison(self, place: int, event: Pass) -> Iterator[Cut]:
        """A comparison of numbers."""
        value = event.margin.value
        # A rounded number is noted with its nearest jump only.
        margins = [value, value - math.copysign(1.0, value)] if event.kind in ROUNDED else [value]
        is_kink = event.kind in CONTINUOUS
        yield from self.one(place, event.margin.seeds(), margins, None, event.kind in BENT_KINDS, is_kink)

    def point(self, place: int, event: Pass) -> Iterator[Cut]:
        """A test for equality: that differs on the two sides only where a kink has made one of them flat."""
        seeds = event.margin.seeds()
        slope = self.moves.slope(seeds)
        if slope and not self.is_bent and not self.moves.bends(seeds):
            at = self.here - event.margin.value / slope
            if self._is_at_kink(at):
                yield Cut(place, at, self.low, self.high, at_kink=True)
                self._restrict([at], False)

    def one(
        self,
        place: int,
        seeds: Mapping[int, float],
        margins: list[float],
        timers: tuple[int, ...] | None,
        bends: bool = False,
        is_kink: bool = False,
    ) -> Iterator[Cut]:
        """A decision by the sign of a margin."""
        slope = self.moves.slope(seeds)
        if not slope:
            return
        bends = bends or self.moves.bends(seeds)
        for margin in margins:
            at = self.here - margin / slope
            at_kink = not (is_kink or bends or self.is_bent) and self._is_at_kink(at)
            if bends or self.is_bent or at_kink or self.low < at < self.high:
                yield Cut(place, at, self.low, self.high, timers, bends, self.is_bent, at_kink)
        self._restrict([self.here - margin / slope for margin in margins], bends, is_kink)

    def race(self, place: int, first: int, timers: _Timers) -> Iterator[Cut]:
        """Which of several timers fires first."""
        times = {one: (timers.known[one].deadline.time, timers.slope(one)) for one in timers.earliest()}
        times[first] = timers.known[first].deadline.time, timers.slope(first)
        if len({slope for _, slope in times.values()}) == 1:
            return
        bent = {one for one in times if timers.known[one].deadline.id in self.moves.bent}
        ends = []
        for sign in (-1.0, 1.0):
            at, ahead = self.here, first
            while (crossing := _next_crossing(times, ahead, at - self.here, sign)) is not None:
                away, other = crossing
                at = self.here + away
                bends = ahead in bent or other in bent
                if not bends and not self.is_bent and not self.low < at < self.high:
                    break
                if ahead != first and (bends or self.is_bent):
                    break  # what is not next to the run is seen from there
                yield Cut(place, at, self.low, self.high, (other, ahead), bends, self.is_bent)
                if ahead == first:
                    ends.append((at, bends))
                ahead = other
        for at, bends in ends:
            self._restrict([at], bends)

    def _is_end(self, at: float, end: float) -> bool:
        return math.isfinite(end) and abs(at - end) <= SAME * (abs(end) + abs(self.here))

    def _is_at_kink(self, at: float) -> bool:
        if at > self.here:
            return self.high_at_kink and self._is_end(at, self.high)
        return self.low_at_kink and self._is_end(at, self.low)

    def _restrict(self, ends: list[float], bends: bool, is_kink: bool = False) -> None:
        for at in ends:
            # Where a kink and a jump are at one point, the jump is what the end is known for.
            if at > self.here:
                known = self._is_end(at, self.high)
                if known or at < self.high:
                    self.high_at_kink = is_kink and (self.high_at_kink or not known)
                self.high = min(self.high, at)
            else:
                known = self._is_end(at, self.low)
                if known or at > self.low:
                    self.low_at_kink = is_kink and (self.low_at_kink or not known)
                self.low = max(self.low, at)
        self.is_bent = self.is_bent or bends


def _next_crossing(
    times: Mapping[int, tuple[float, float]], ahead: int, away: float, sign: float
) -> tuple[float, int] | None:
    """How far from here, in a direction, another timer overtakes the one that is first; and which does."""
    time, slope = times[ahead]
    found: tuple[float, float, int] | None = None
    for number, (other, other_slope) in times.items():
        gain = sign * (slope - other_slope)  # by which it comes nearer for each unit of the way
        if gain <= 0.0:
            continue
        # Never before where we are: there the first one is first, up to rounding.
        distance = max((other - time) / gain, sign * away)
        if found is None or (distance, -gain) < found[:2]:
            found = distance, -gain, number
    return None if found is None else (sign * found[0], found[2])
