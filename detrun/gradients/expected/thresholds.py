"""Jumps at thresholds: smoothed perturbation analysis of comparisons, time-outs and orders of timers.

Take one continuous draw, hold all others, and let the noise ``z`` beneath it run over the line. The loss is smooth on
pieces between points at which something flips, and the derivative of its mean over ``z`` is the mean of its derivative
and, for each such point ``b``, ``f(b) (L(b-) - L(b+)) db``, where ``f`` is the density of the noise and ``db`` how the
point moves with the parameters. A run shows the ends of the piece that it is on: the zeros of its margins, which are
affine in ``z``. Runs just below and just above an end give the two losses, and the piece behind it. An end is met by
runs from both its pieces, so each time it counts ``1 / (P(this piece) + P(the piece behind))``.

A comparison may depend on several draws. It counts on the line of the last of them alone, so each counts once.

What has no density here is named: a comparison of a parameter with a number from elsewhere (`random`, numpy, a number
taken out of a `Value`), a rounded parameter, a comparison that moves otherwise than in proportion to the noise.

Sources: Gong and Ho, "Smoothed (conditional) perturbation analysis of discrete event dynamical systems", IEEE TAC 32
(1987); Fu and Hu, "Conditional Monte Carlo" (1997). Here the counterfactual runs are made, instead of being derived.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import NormalDist

from detrun.ad.forward import tangent_sweep
from detrun.ad.sites import Margin
from detrun.ad.tape import NO_PARENT
from detrun.gradients.expected.taped_run import Dependence, Pass, TapedRun
from detrun.primitives.draw_log import Draw
from detrun.primitives.forcing import Address
from detrun_scheduler.errors import NotDifferentiableError

DISCRETE = frozenset({"bernoulli", "binomial", "choice", "geometric", "poisson"})
# Nothing jumps at these: the number is the same on both sides, or the two sides go the same way.
CONTINUOUS = frozenset({"maximum", "minimum", "abs", "relu", "==", "!=", "bool"})
ROUNDED = frozenset({"int", "trunc", "floor", "ceil", "round", "is_integer", "//", "%"})
OF_UNKNOWN_LAW = ("disk fault", "external function")
NEAR = 1e-9  # how far from an end its two sides are looked at, relative
SAME = 1e-7  # margins that vanish within this, relative, are one end

AGREES = 1e-6  # ends that two runs on one piece compute, relative
LOOKED_AT = 0.1  # of the pieces behind
NOT_AFFINE = "a margin on its line does not move in proportion to the last draw"

RunAt = Callable[[Mapping[Address, float]], tuple[float, TapedRun]]


@dataclass(frozen=True, slots=True)
class Line:
    """One draw whose noise decides some comparison that moves with a parameter."""

    draw: Draw
    passes: frozenset[int]  # places of those comparisons among the run's passes


@dataclass(frozen=True, slots=True)
class Unknown:
    """A place where the loss may jump at an unknown rate."""

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


@dataclass(frozen=True, slots=True)
class End:
    """One end of the piece that a run is on."""

    at: float  # the noise there; infinite if there is none
    passes: tuple[int, ...]  # what flips there


def lines_of(run: TapedRun, dependence: Dependence, has_other_numbers: str | None) -> tuple[list[Line], list[Unknown]]:
    """The lines of a run, in the order of their draws, and what has no density.

    Args:
        has_other_numbers: in words, numbers that the run took from elsewhere than detrun's draws; None if none.
    """
    by_noise = {draw.noise_id: draw for draw in run.draws if draw.noise_id is not None}
    found: dict[int, list[int]] = {}
    unknown: dict[str, Unknown] = {}

    def name(one: Pass, why: str) -> None:
        unknown.setdefault(str(one), Unknown(str(one), why))

    for place, one in enumerate(run.passes):
        if one.kind in DISCRETE or one.kind in CONTINUOUS:
            continue
        moves, noise = dependence.of(list(one.margin.seeds()))
        if not moves:
            continue
        if one.kind.startswith(OF_UNKNOWN_LAW):
            name(one, "what decides there is no draw of detrun with a known density")
        elif one.kind in ROUNDED:
            if noise != NO_PARENT or one.margin.value == 0.0:
                name(one, "a rounded number that moves with a parameter and a draw has a jump at every whole number")
        elif noise != NO_PARENT:
            found.setdefault(noise, []).append(place)
        elif has_other_numbers is not None:
            name(one, f"a parameter decides without a draw of detrun, and the run has {has_other_numbers}")
        elif one.margin.value == 0.0 and any(run.gradient(one.margin.seeds()).values()):
            name(one, "a parameter is exactly where this decides, whatever is drawn")
    lines = [Line(by_noise[noise], frozenset(places)) for noise, places in sorted(found.items())]
    return lines, list(unknown.values())


def ends_of(run: TapedRun, noise_id: int, at: float) -> tuple[End, End]:
    """The ends of the piece on which the noise ``noise_id`` is, below and above where it is."""
    slopes = _along(run, noise_id)
    below: list[tuple[float, int]] = []
    above: list[tuple[float, int]] = []
    for place, one in enumerate(run.passes):
        slope = sum(slopes.get(entry, 0.0) * weight for entry, weight in one.margin.seeds().items())
        if not slope or one.kind in ("==", "!=", "bool"):
            continue
        for margin in _margins(one):
            move = -margin / slope
            (above if move > 0.0 else below).append((at + move, place))
    return _nearest(below, -1.0), _nearest(above, 1.0)


def _margins(one: Pass) -> list[float]:
    # A rounded number is noted with its nearest jump only.
    value = one.margin.value
    return [value, value - math.copysign(1.0, value)] if one.kind in ROUNDED else [value]


def _nearest(found: Sequence[tuple[float, int]], sign: float) -> End:
    if not found:
        return End(sign * math.inf, ())
    at = min(one for one, _ in found) if sign > 0 else max(one for one, _ in found)
    width = SAME * max(1.0, abs(at))
    return End(at, tuple(dict.fromkeys(place for one, place in found if abs(one - at) <= width)))


@dataclass(slots=True)
class Jumps:
    """What the ends of some lines contribute.

    Attributes:
        grads: by parameter.
        unknown: ends at which the rule of this module does not hold.
        random: of the sample.
    """

    grads: dict[str, float]
    unknown: list[Unknown]
    random: Random

    def add_line(self, line: Line, run: TapedRun, run_at: RunAt, weight: float) -> None:
        """Add both ends of the run's piece.

        Args:
            run_at: the loss and the taped run with some noises held where its argument says.
            weight: one over the probability with which this line was chosen.
        """
        draw = line.draw
        assert draw.noise_id is not None
        assert draw.law is not None
        assert draw.law.noise is not None
        law = Noise(draw.law.noise)
        assert draw.noise is not None
        at = draw.noise
        ends = ends_of(run, draw.noise_id, at)
        here = law.between(ends[0].at, ends[1].at)
        way = run.way
        for side, end in ((-1.0, ends[0]), (1.0, ends[1])):
            counted = [place for place in end.passes if place in line.passes]
            step = NEAR * max(1.0, abs(end.at))
            # What flips where the noise ends, as timers of equal time do at zero, flips nowhere.
            if not counted or not law.low + 2 * step < end.at < law.high - 2 * step:
                continue
            near_loss, near = run_at({draw.address: end.at - side * step})
            if near.way != way:
                self._name(run.passes[counted[0]], "something flips before it that no comparison announced")
                continue
            near_id = _noise_id(near, draw)
            near_ends = ends_of(near, near_id, end.at - side * step)
            # Not by its place among the passes: timers that end together are taken back in the order of their times.
            site = run.passes[counted[0]].site
            same = [near.passes[place] for place in near_ends[side > 0].passes if near.passes[place].site == site]
            if not same or not _agree(ends, near_ends):
                self._name(run.passes[counted[0]], NOT_AFFINE)
                continue
            margin = same[0].margin
            slope = _slope(near, margin, near_id)
            moves = {name: -one / slope for name, one in near.gradient(margin.seeds()).items()}
            far_loss, far = run_at({draw.address: end.at + side * step})
            far_ends = ends_of(far, _noise_id(far, draw), end.at + side * step)
            behind = law.between(end.at, far_ends[1].at) if side > 0 else law.between(far_ends[0].at, end.at)
            # That the piece behind is known exactly, too, is looked at now and then: it takes one more run.
            if self.random.random() < LOOKED_AT:
                inside = law.middle(max(far_ends[0].at, law.low), min(far_ends[1].at, law.high))
                _, other = run_at({draw.address: inside})
                if other.way != far.way or not _agree(far_ends, ends_of(other, _noise_id(other, draw), inside)):
                    self._name(run.passes[counted[0]], NOT_AFFINE)
                    continue
            below, above = (near_loss, far_loss) if side > 0 else (far_loss, near_loss)
            jump = weight * law.density(end.at) * (below - above) / (here + behind)
            for name, move in moves.items():
                self.grads[name] += jump * move

    def _name(self, one: Pass, why: str) -> None:
        self.unknown.append(Unknown(str(one), why))


def _noise_id(run: TapedRun, draw: Draw) -> int:
    """The noise of the same draw in another run."""
    found = run.draws.at(draw.address)
    assert found is not None
    assert found.noise_id is not None
    return found.noise_id


def _agree(ends: tuple[End, End], others: tuple[End, End]) -> bool:
    """Whether both are the same piece, as margins that are affine say from every place on it."""
    return all(
        one.at == other.at or abs(one.at - other.at) <= AGREES * max(1.0, abs(one.at))
        for one, other in zip(ends, others, strict=True)
    )


def _along(run: TapedRun, noise_id: int) -> dict[int, float]:
    """How each entry moves with a noise."""
    try:
        return tangent_sweep(run.tape, {noise_id: 1.0})
    except NotDifferentiableError as error:
        named = next(str(draw) for draw in run.draws if draw.noise_id == noise_id)
        raise NotDifferentiableError(
            f"the expected gradient follows {named} to what it decides, and loses it: {error.args[0]}; torch goes "
            "backward only. Use kind='finite' here"
        ) from error


def _slope(run: TapedRun, margin: Margin, noise_id: int) -> float:
    slopes = _along(run, noise_id)
    return float(sum(slopes.get(entry, 0.0) * weight for entry, weight in margin.seeds().items()))


@dataclass(frozen=True, slots=True)
class Noise:
    """The law of a noise: see `detrun.primitives.laws.Law.noise`."""

    kind: str

    @property
    def low(self) -> float:
        """Where it begins."""
        return -math.inf if self.kind == "normal" else 0.0

    @property
    def high(self) -> float:
        """Where it ends."""
        return 1.0 if self.kind == "uniform" else math.inf

    def density(self, at: float) -> float:
        """At a place where it can be."""
        if self.kind == "uniform":
            return 1.0
        return math.exp(-at) if self.kind == "exponential" else NormalDist().pdf(at)

    def middle(self, low: float, high: float) -> float:
        """A place between two others, of which one may be infinite."""
        if math.isinf(low):
            return high - 1.0 if math.isfinite(high) else 0.0
        return low + 1.0 if math.isinf(high) else 0.5 * (low + high)

    def between(self, low: float, high: float) -> float:
        """The probability of an interval, exact in both tails."""
        low, high = max(low, self.low), min(high, self.high)
        if self.kind == "uniform":
            return high - low
        if self.kind == "exponential":
            return math.exp(-low) - math.exp(-high)
        upper = math.erfc(low / math.sqrt(2.0)) - math.erfc(high / math.sqrt(2.0))
        lower = math.erfc(-high / math.sqrt(2.0)) - math.erfc(-low / math.sqrt(2.0))
        return 0.5 * (upper if low > 0.0 else lower)
