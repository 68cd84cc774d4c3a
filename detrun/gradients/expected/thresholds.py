"""Jumps at thresholds: smoothed perturbation analysis of comparisons, time-outs and orders of timers.

Take one continuous draw and hold all others. The derivative of the mean loss over it is the mean of its derivative
along the path and, for each point ``b`` where a decision comes out otherwise, ``f(b) (L(b-) - L(b+)) db``, where ``f``
is the density of the draw and ``db`` how the point moves with the parameters. A run comes to a decision if the draw
falls into an interval (`decisions`), which has the probability ``P``, and shows the point from everywhere in it. So
that each point counts once on average, it counts ``1 / P``. Runs just below and just above give the two losses.

``f(b) / P`` is the rate at which the draw passes the point, given what was decided before: for exponential draws and
decisions in the order of time it is at most 1 over the mean, however short the pieces are into which later decisions
cut the line.

Where a margin bends, `bent_lines` finds the point and the interval. Otherwise both runs are held to what the run has
shown: they come to the decision in the same way, and see the same interval and the same point; so does now and then a
third one, from anywhere in the interval.

Where a later draw moves the margin, too, and mixes with this one, the point counts here only if the margin stands still
along the later one there. Just below and just above such a point its slopes have opposite signs, or vanish: if the
margin and that slope are both 0 wherever ``x = b``, both have the factor ``x - b``.

Sources: Gong and Ho, "Smoothed (conditional) perturbation analysis of discrete event dynamical systems", IEEE TAC 32
(1987); Fu and Hu, "Conditional Monte Carlo" (1997). Here the counterfactual runs are made, instead of being derived.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from detrun.ad.value import primal_of
from detrun.gradients.expected.bent_lines import NotSettledError, Search
from detrun.gradients.expected.decisions import Cut, cuts_on, is_decided_alike
from detrun.gradients.expected.dependence import Along, along
from detrun.gradients.expected.lines import Threshold
from detrun.gradients.expected.noises import near
from detrun.gradients.expected.taped_run import TapedRun
from detrun.gradients.sampling.shifts import Shift
from detrun.primitives.draw_log import Draw
from detrun.primitives.forcing import Address

AGREES = 1e-6  # points that two runs compute, relative
LOOKED_AT = 0.1  # of the intervals, from a third place
ELSEWHERE = (0.001, 0.2, 0.5, 0.8, 0.999)  # of a line, where a later draw is looked at if the point is not found
STILL = 1e-6  # of the slope of a later draw in the run, so near to a cut where it is 0
COUNTS_ELSEWHERE = 0.0, 0.0  # no jump
NOT_AFFINE = "a margin on its line does not move in proportion to the last draw"
UNANNOUNCED = "something flips before it that no comparison announced"

RunAt = Callable[[Mapping[Address, float]], tuple[float, TapedRun]]


@dataclass(slots=True)
class Jumps:
    """What some thresholds contribute.

    Attributes:
        grads: by parameter.
        run: the run whose they are.
        run_at: the loss and the taped run with some noises held where its argument says.
        name: told of thresholds at which the rule of this module does not hold.
        random: of the sample.
        shifts: what they contribute, told apart; None where only the sum is wanted.
    """

    grads: dict[str, float]
    run: TapedRun
    run_at: RunAt
    name: Callable[[str, str], None]
    random: Random
    shifts: list[Shift] | None = None

    def add(self, threshold: Threshold, weight: float) -> tuple[float, float] | None:
        """Add one; ``weight`` is one over the probability with which it was chosen.

        Returns:
            The loss on both sides, equal where the point counts on the line of another draw; None where the rule of
            this module does not hold.
        """
        draw, cut, law, noise = threshold.draw, threshold.cut, threshold.law, threshold.noise
        where = cut.where(self.run)
        if cut.bent or cut.bent_interval:
            return self._add_bent(threshold, weight, where)
        if cut.at_kink:
            return self._add_at_kink(threshold, weight, where)
        at, low, high = (law.noise_of(one) for one in (cut.at, cut.low, cut.high))
        places = [at - near(at), at + near(at)]
        if self.random.random() < LOOKED_AT:
            places.append(noise.inside(low, high, self.random.random()))
        losses, moves, runs = [], [], []
        for place in places:
            loss, run = self.run_at({draw.address: place})
            found = _again(run, draw, cut, self.run)
            if isinstance(found, str):
                return self._unsettled(threshold, where, found)
            losses.append(loss)
            moves.append(found)
            runs.append(run)
        if _is_moved(threshold, runs[:2]):
            return COUNTS_ELSEWHERE
        return self._count(weight * noise.density(at) / noise.between(low, high), losses, moves[0])

    def _add_bent(self, threshold: Threshold, weight: float, where: str) -> tuple[float, float] | None:
        draw, cut, noise = threshold.draw, threshold.cut, threshold.noise
        try:
            found = Search(self.run, threshold, lambda at: self.run_at({draw.address: at})[1], self.random).settled()
        except NotSettledError as error:
            return self._unsettled(threshold, where, str(error))
        if found is None or not noise.is_inside(found.at) or not found.low < found.at < found.high:
            return None
        losses, runs = [], []
        for place in (found.at - near(found.at), found.at + near(found.at)):
            loss, run = self.run_at({draw.address: place})
            if not is_decided_alike(run, self.run, cut.place):
                return self._unsettled(threshold, where, UNANNOUNCED)
            losses.append(loss)
            runs.append(run)
        if _is_moved(threshold, runs):
            return COUNTS_ELSEWHERE
        rate = weight * noise.density(found.at) / noise.between(found.low, found.high)
        mine = runs[0].draws.at(draw.address)
        assert mine is not None
        moves = along(runs[0], mine)
        assert moves is not None
        return self._count(rate, losses, _speeds(runs[0], moves, cut.seeds(runs[0])))

    def _add_at_kink(self, threshold: Threshold, weight: float, where: str) -> tuple[float, float] | None:
        """Where a maximum bends at the same point, the decision is there on one side of it: seen from there alone.

        Of what is seen from both sides, each counts a half.
        """
        draw, cut, law, noise = threshold.draw, threshold.cut, threshold.law, threshold.noise
        at, low, high = (law.noise_of(one) for one in (cut.at, cut.low, cut.high))
        (below, run_below), (above, run_above) = (
            self.run_at({draw.address: place}) for place in (at - near(at), at + near(at))
        )
        here, there = (run_below, run_above) if primal_of(draw.outcome) < cut.at else (run_above, run_below)
        found = _again(here, draw, cut, self.run)
        if isinstance(found, str):
            return self._unsettled(threshold, where, found)
        if any(abs(_slope(one, cut, here)) > STILL * abs(_slope(one, cut, self.run)) for one in threshold.later):
            return COUNTS_ELSEWHERE
        unit = max(1.0, abs(cut.at), abs(primal_of(draw.outcome)))
        mine = there.draws.at(draw.address)
        moves = None if mine is None else along(there, mine)
        if mine is not None and moves is not None:
            others = (other.at for other in cuts_on(there, mine, moves) if other.at_kink)
            if any(_are_near(other, cut.at, unit) for other in others):
                weight *= 0.5
        return self._count(weight * noise.density(at) / noise.between(low, high), [below, above], found)

    def _unsettled(self, threshold: Threshold, where: str, why: str) -> tuple[float, float] | None:
        """Name a threshold whose point is not found, unless a later draw moves the margin all along the line."""
        if threshold.later:
            draw, law, noise = threshold.draw, threshold.law, threshold.noise
            low, high = (law.noise_of(one) for one in (threshold.cut.low, threshold.cut.high))
            runs = [self.run]
            for share in ELSEWHERE:
                run = self.run_at({draw.address: noise.inside(low, high, share)})[1]
                if is_decided_alike(run, self.run, threshold.cut.place):
                    runs.append(run)
            if _is_moved(threshold, runs):
                return COUNTS_ELSEWHERE
        self.name(where, why)
        return None

    def _count(
        self, rate: float, losses: Sequence[float], moves: Callable[[], dict[str, float]]
    ) -> tuple[float, float]:
        below, above = losses[:2]
        if below == above:
            return below, above
        rates = {name: rate * move for name, move in moves().items()}
        if self.shifts is not None:
            self.shifts.append(Shift(above, below, rates))
        for name, one in rates.items():
            self.grads[name] += (below - above) * one
        return below, above


def _is_moved(threshold: Threshold, runs: Sequence[TapedRun]) -> bool:
    """Whether one of the later draws moves the margin in all of these runs in one direction."""
    for later in threshold.later:
        slopes = [_slope(later, threshold.cut, run) for run in runs]
        if all(slope > 0.0 for slope in slopes) or all(slope < 0.0 for slope in slopes):
            return True
    return False


def _slope(draw: Draw, cut: Cut, run: TapedRun) -> float:
    """How the margin of a cut moves with the noise beneath a draw."""
    mine = run.draws.at(draw.address)
    moves = None if mine is None else along(run, mine)
    return 0.0 if moves is None else moves.slope(cut.seeds(run)) * moves.scale


def _speeds(run: TapedRun, moves: Along, seeds: Mapping[int, float]) -> Callable[[], dict[str, float]]:
    slope = moves.slope(seeds) * moves.scale
    return lambda: {name: -one / slope for name, one in run.gradient(seeds).items()}


def _again(run: TapedRun, draw: Draw, cut: Cut, base: TapedRun) -> Callable[[], dict[str, float]] | str:
    """How the cut moves with the parameters, as another run of its interval shows it; in words, why it is not there."""
    if not is_decided_alike(run, base, cut.place):
        return UNANNOUNCED
    mine = run.draws.at(draw.address)
    assert mine is not None
    moves = along(run, mine)
    if moves is None:
        return NOT_AFFINE
    unit = max(1.0, abs(cut.at), abs(primal_of(draw.outcome)))
    for other in cuts_on(run, mine, moves, cut.place):
        if other.place == cut.place and _are_near(other.at, cut.at, unit):
            if not (_are_near(other.low, cut.low, unit) and _are_near(other.high, cut.high, unit)):
                return NOT_AFFINE
            return _speeds(run, moves, other.seeds(run))
    return NOT_AFFINE


def _are_near(one: float, other: float, unit: float) -> bool:
    if math.isinf(one) or math.isinf(other):
        return one == other
    return abs(one - other) <= AGREES * max(unit, abs(one))
