"""Cuts on lines that bend: found by runs, as roots of a function that each run evaluates with its derivative.

Where a margin does not move in proportion to the draw (a power of it, a logarithm, a quotient, a product with a number
that it moves, too), its tangent says no more than where to look. The interval in which a run comes to the decision ends
where a run with the draw there takes another way; the cut is a root of the margin inside it. Both are found by Newton's
method held between two bounds, in a few runs each.

The margin must be monotone in the draw: its slope has one sign wherever it is looked at, and in one more place, chosen
at random from the interval. Anything else is named.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from detrun.gradients.expected.decisions import cuts_on, is_decided_alike
from detrun.gradients.expected.dependence import Along, along
from detrun.gradients.expected.lines import Threshold
from detrun.gradients.expected.noises import near
from detrun.gradients.expected.taped_run import TapedRun

RUNS_MAX = 80  # for an end, or for a root
TAIL = 1e-9  # the share of the probability beyond the draw that is taken for none
TAIL_LOST = 1e-6  # the same, where a power of a draw so near to its end is lost in what it is added to
END_KNOWN = 1e-8  # relative
NOT_MONOTONE = "a margin on its line is not monotone in the last draw"
NOT_FOUND = "where it comes out otherwise on the line of its last draw is not found"


class NotSettledError(Exception):
    """The search has failed, for a reason in words."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A cut in terms of the noise beneath the draw."""

    at: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Probe:
    """A run with the noise somewhere."""

    at: float
    run: TapedRun
    moves: Along
    is_alike: bool  # it comes to the decision in the same way


class Search:
    """Looks for one cut.

    Args:
        base: the run that has shown it.
        run_at: the taped run with the noise somewhere.
    """

    def __init__(
        self, base: TapedRun, threshold: Threshold, run_at: Callable[[float], TapedRun], random: Random
    ) -> None:
        self.base, self.run_at, self.random = base, run_at, random
        self.draw, self.cut, self.law, self.noise = threshold.draw, threshold.cut, threshold.law, threshold.noise

    def settled(self) -> Settled | None:
        """Where it is; None: the decision comes out in the same way everywhere in its interval.

        Raises:
            NotSettledError: the search has failed.
        """
        assert self.draw.noise is not None
        here = self._probe(self.draw.noise)
        if not here.is_alike:
            raise NotSettledError("a run with the same draws takes another way")
        low, high = (self._end(here, sign) for sign in (-1.0, 1.0))
        self._sign(here, here)
        check = self._probe(self.noise.inside(low, high, self.random.random()))
        if not check.is_alike:
            raise NotSettledError("something flips before it that no comparison announced")
        self._sign(check, here)
        at = self._root(here, low, high)
        if at is not None and self.cut.timers is not None and len(self.cut.timers) > 1:
            self._hold_race(check, at, here)
        return None if at is None else Settled(at, low, high)

    def _probe(self, at: float) -> Probe:
        run = self.run_at(at)
        mine = run.draws.at(self.draw.address)
        if mine is None:
            raise NotSettledError("the draw is not made in another run")
        moves = along(run, mine)
        if moves is None:
            raise NotSettledError(NOT_MONOTONE)
        return Probe(at, run, moves, is_decided_alike(run, self.base, self.cut.place))

    def _margin(self, probe: Probe) -> float:
        return self.cut.margin(probe.run)

    def _slope(self, probe: Probe) -> float:
        return probe.moves.slope(self.cut.seeds(probe.run)) * probe.moves.scale

    def _sign(self, probe: Probe, base: Probe) -> float:
        """That of the slope; the same for all."""
        slope = self._slope(probe)
        if slope * self._slope(base) <= 0.0:
            raise NotSettledError(NOT_MONOTONE)
        return math.copysign(1.0, slope)

    def _limit(self, at: float, sign: float, tail: float = TAIL) -> float:
        """The place beyond which the noise is not, but for a share of its probability, from a place in a direction."""
        if sign > 0.0:
            end = self.noise.high
            return end - tail * max(1.0, abs(end)) if math.isfinite(end) else self.noise.inside(at, end, 1.0 - tail)
        end = self.noise.low
        return end + tail * max(1.0, abs(end)) if math.isfinite(end) else self.noise.inside(end, at, tail)

    def _end(self, here: Probe, sign: float) -> float:
        """Where the interval ends in a direction."""
        known = self.law.noise_of(self.cut.low if sign < 0.0 else self.cut.high)
        if not self.cut.bent_interval:
            return known
        limit = self._limit(here.at, sign)
        if sign * (limit - here.at) <= 0.0 or self._probe(limit).is_alike:
            return self.noise.high if sign > 0.0 else self.noise.low
        inside, outside = here, limit
        for turn in range(RUNS_MAX):
            width = END_KNOWN * max(1.0, abs(outside))
            if abs(outside - inside.at) <= 2.0 * width:
                return 0.5 * (outside + inside.at)
            guess = self._predicted(inside, sign) if turn % 4 < 3 else None
            if guess is None or not min(inside.at, outside) + width < guess < max(inside.at, outside) - width:
                guess = 0.5 * (inside.at + outside)
            for place in (guess - 0.5 * sign * width, guess + 0.5 * sign * width):
                probe = self._probe(place)
                if not probe.is_alike:
                    outside = place
                    break
                inside = probe
        raise NotSettledError(NOT_FOUND)

    def _predicted(self, probe: Probe, sign: float) -> float | None:
        """Where the interval ends by the tangents of a run."""
        mine = probe.run.draws.at(self.draw.address)
        assert mine is not None
        for cut in cuts_on(probe.run, mine, probe.moves, self.cut.place):
            if cut.place == self.cut.place:
                return self.law.noise_of(cut.low if sign < 0.0 else cut.high)
        return None

    def _root(self, here: Probe, low: float, high: float) -> float | None:
        margin = self._margin(here)
        sign = -math.copysign(1.0, margin) * self._sign(here, here)  # the way to the root
        end = high if sign > 0.0 else low
        limit = self._limit(here.at, sign)
        last = limit if sign * (end - limit) >= 0.0 else end - 4.0 * sign * END_KNOWN * max(1.0, abs(end))
        if sign * (last - here.at) <= 0.0:
            return None
        beyond = self._probe(last)
        if not beyond.is_alike and last == limit:
            inside = self._limit(here.at, sign, TAIL_LOST)
            beyond = self._probe(inside) if sign * (inside - here.at) > 0.0 else beyond
        if not beyond.is_alike:
            raise NotSettledError(NOT_FOUND)
        self._sign(beyond, here)
        if self._margin(beyond) * margin > 0.0:
            return None
        near_side, far_side, probe = here, beyond, here
        for _ in range(RUNS_MAX):
            guess = probe.at - self._margin(probe) / self._slope(probe)
            if not min(near_side.at, far_side.at) < guess < max(near_side.at, far_side.at):
                guess = 0.5 * (near_side.at + far_side.at)
            if abs(guess - probe.at) <= 0.01 * near(guess):
                return guess
            probe = self._probe(guess)
            if not probe.is_alike:
                raise NotSettledError(NOT_FOUND)
            self._sign(probe, here)
            if self._margin(probe) * margin > 0.0:
                near_side = probe
            else:
                far_side = probe
        raise NotSettledError(NOT_FOUND)

    def _hold_race(self, check: Probe, at: float, here: Probe) -> None:
        """Only two timers may be first in the interval: each on its side."""
        assert self.cut.timers is not None
        other, ahead = self.cut.timers
        is_here = (check.at < at) == (here.at < at)
        event = check.run.events[self.cut.place]
        if getattr(event, "sequence", None) != (ahead if is_here else other):
            raise NotSettledError("more than two timers may fire first, and one of them bends")
