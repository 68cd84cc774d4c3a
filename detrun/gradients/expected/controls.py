"""Control variates: numbers of a run whose mean is known to be 0, by which samples are made to vary less.

Of each parameter, the *score* of the draws that it moves, the derivative of the logarithm of their density; of the
other continuous draws, the sum of how far the noise beneath them is from its mean. Both are sums over the draws of a
run, in which each term has the mean 0 given what came before, so they have the mean 0 however many draws there are.
What a sample shares with them, as a random walk's squared end does with its number of heads, is taken off.

The factor for a sample is fitted to all the others, so that it does not depend on the sample and the mean stays as it
was, exactly, for any number of samples.

Sources: Lavenberg and Welch, "A perspective on the use of control variables", Management Science 27 (1981); scores as
controls: Glynn and L'Ecuyer, "Likelihood ratio gradient estimation", Advances in Applied Probability 27 (1995).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from detrun.ad.reverse import add_seeds
from detrun.ad.value import Value, primal_of
from detrun.gradients.expected.draw_jumps import score
from detrun.gradients.expected.noises import Noise
from detrun.gradients.expected.taped_run import TapedRun
from detrun.primitives.continuous_laws import Exponential, LogNormal, Normal
from detrun.primitives.laws import Law
from detrun.primitives.random_laws import Expovariate

SAMPLES_MIN = 16  # to fit a factor to


def controls(run: TapedRun) -> dict[str, tuple[float, float]]:
    """By parameter, the score of the draws that have one, and the noise of the others."""
    seeds: dict[int, float] = {}
    noise = 0.0
    for draw in run.draws:
        law, at = draw.law, draw.noise
        if law is None or draw.is_constant or (draw.derivative is None and at is None):
            continue
        if draw.parameter_ids:
            weights = score(draw) if at is None else _continuous_score(law, at)
            add_seeds(seeds, weights.items())
        elif at is not None:
            assert law.noise is not None
            noise += at - Noise(law.noise).mean
    scores = run.gradient({one: weight for one, weight in seeds.items() if math.isfinite(weight)})
    return {name: (one, noise if math.isfinite(noise) else 0.0) for name, one in scores.items()}


def _continuous_score(law: Law, at: float) -> dict[int, float]:
    match law:
        case Exponential(mean):
            found = [(mean, (at - 1.0) / primal_of(mean))]
        case Expovariate(rate):
            found = [(rate, (1.0 - at) / primal_of(rate))]
        case Normal(mean, std) | LogNormal(mean, std):
            width = primal_of(std)
            found = [(mean, at / width), (std, (at * at - 1.0) / width)] if width else []
        case _:  # where the ends move, what is between has no mean of 0
            found = []
    slopes: dict[int, float] = {}
    for parameter, slope in found:
        if isinstance(parameter, Value):
            slopes[parameter.id] = slopes.get(parameter.id, 0.0) + slope
    return slopes


def controlled(numbers: Sequence[float], given: Sequence[Sequence[float]]) -> list[float]:
    """The numbers less what the others say that each shares with its controls.

    Args:
        given: by number, its controls, two of them.
    """
    count = len(numbers)
    if count < SAMPLES_MIN:
        return list(numbers)
    middle = math.fsum(numbers) / count
    rows = [(one - middle, left, right) for one, (left, right) in zip(numbers, given, strict=True)]
    total = _moments(rows)
    return [one - _shared(total, row, count - 1) for one, row in zip(numbers, rows, strict=True)]


Row = tuple[float, float, float]


def _moments(rows: Sequence[Row]) -> Mapping[tuple[int, ...], float]:
    places = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    return {place: math.fsum(math.prod(row[one] for one in place) for row in rows) for place in places}


def _shared(total: Mapping[tuple[int, ...], float], row: Row, count: int) -> float:
    """What a sample shares with its controls, by the moments of all samples without it."""
    rest = {place: one - math.prod(row[each] for each in place) for place, one in total.items()}

    def covariance(left: int, right: int) -> float:
        found = rest[left, right] - rest[(left,)] * rest[(right,)] / count
        return found if abs(found) > 1e-12 * abs(total[left, right]) else 0.0

    first, second, both = covariance(1, 1), covariance(2, 2), covariance(1, 2)
    by_first, by_second = covariance(0, 1), covariance(0, 2)
    determinant = first * second - both * both
    if first > 0.0 and second > 0.0 and determinant > 1e-6 * first * second:
        return (
            row[1] * (by_first * second - by_second * both) + row[2] * (by_second * first - by_first * both)
        ) / determinant
    if first > 0.0:
        return row[1] * by_first / first
    return row[2] * by_second / second if second > 0.0 else 0.0
