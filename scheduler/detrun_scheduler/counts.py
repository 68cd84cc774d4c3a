"""Counts of a run's draws: binomial and geometric numbers, and the numbers in [0, 1) that give each outcome.

By the rules of `randomness`: each distribution is the inverse of its distribution function applied to one draw, so an
outcome is given by the draws of one interval ``[low, high)``, whose length is its probability. The ends of the interval
move with the parameters; where a draw meets one, the outcome jumps.

Parameters may have a ``primal``, which alone is looked at.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

from detrun_scheduler.errors import UsageError
from detrun_scheduler.randomness import Parameter, number_of, poisson_table

# One table of the binomial inversion has about 21 * sqrt(trials / 4) entries.
TRIALS_MAX = 10**8
_NEGLIGIBLE = 2.0**-80
NOTHING = 0.0, 0.0


def binomial(unit: float, trials: int, probability: Parameter) -> int:
    """How many of ``trials`` independent coins fall on heads, each with this probability. Discrete.

    Inversion over a table, exact to about 1e-12 in probability: the recursion of its terms is started at the mode and
    normalized by their sum, as for `randomness.poisson`.

    Raises:
        UsageError: unless ``0 <= trials <= TRIALS_MAX``, a whole number, and ``0 <= probability <= 1``.
    """
    primal = _probability("binomial", probability)
    if type(trials) is not int or not 0 <= trials <= TRIALS_MAX:
        raise UsageError(f"binomial: trials={trials!r} must be a whole number from 0 to {TRIALS_MAX}")
    lowest, cumulative = _binomial_table(trials, primal)
    return lowest + bisect_right(cumulative, unit, hi=len(cumulative) - 1)


def geometric(unit: float, probability: Parameter) -> int:
    """How many independent coins are thrown until one falls on heads, that one included: 1, 2, … Discrete.

    Raises:
        UsageError: unless ``0 < probability <= 1``.
    """
    primal = _probability("geometric", probability)
    if primal == 0.0:
        raise UsageError("geometric: probability=0.0, and nothing ever happens; give a number above 0")
    if primal == 1.0:
        return 1
    found = max(1, math.floor(math.log1p(-unit) / math.log1p(-primal)) + 1)
    # The quotient is rounded: the outcome is the one whose interval holds the draw, as `geometric_interval` says it.
    while found > 1 and unit < _geometric_cumulative(found - 1, primal):
        found -= 1
    while unit >= _geometric_cumulative(found, primal):
        found += 1
    return found


def bernoulli_interval(outcome: bool, probability: float) -> tuple[float, float]:
    """The draws that give ``outcome``."""
    return (0.0, probability) if outcome else (probability, 1.0)


def choice_interval(outcome: int, weights: Sequence[float]) -> tuple[float, float]:
    """The draws that give option ``outcome``."""
    cumulative = [0.0, *accumulate(weights)]
    if not 0 <= outcome < len(weights) or cumulative[-1] <= 0.0:
        return NOTHING
    return cumulative[outcome] / cumulative[-1], cumulative[outcome + 1] / cumulative[-1]


def poisson_interval(outcome: int, mean: float) -> tuple[float, float]:
    """The draws that give ``outcome``."""
    return _in_table(outcome, *poisson_table(mean))


def binomial_interval(outcome: int, trials: int, probability: float) -> tuple[float, float]:
    """The draws that give ``outcome``."""
    return _in_table(outcome, *_binomial_table(trials, probability))


def geometric_interval(outcome: int, probability: float) -> tuple[float, float]:
    """The draws that give ``outcome``."""
    if outcome < 1:
        return NOTHING
    return _geometric_cumulative(outcome - 1, probability), _geometric_cumulative(outcome, probability)


def _geometric_cumulative(outcome: int, probability: float) -> float:
    if probability == 1.0:
        return float(outcome >= 1)
    return -math.expm1(outcome * math.log1p(-probability))


def _in_table(outcome: int, lowest: int, cumulative: Sequence[float]) -> tuple[float, float]:
    place = outcome - lowest
    if not 0 <= place < len(cumulative):
        return NOTHING
    return cumulative[place - 1] if place else 0.0, cumulative[place] if place < len(cumulative) - 1 else 1.0


def _probability(distribution: str, parameter: Parameter) -> float:
    primal = number_of(parameter)
    if not 0.0 <= primal <= 1.0:
        raise UsageError(f"{distribution}: probability={primal!r} is not a probability; give a number from 0 to 1")
    return primal


@lru_cache(maxsize=32)
def _binomial_table(trials: int, probability: float) -> tuple[int, list[float]]:
    """The lowest count that matters, and the distribution function from there on."""
    if probability in (0.0, 1.0):
        return (trials if probability else 0), [1.0]
    odds = probability / (1.0 - probability)
    mode = min(trials, math.floor((trials + 1) * probability))
    below = []  # weights of mode - 1, mode - 2, ...
    count, weight = mode, 1.0
    while count > 0 and (weight := weight * count / ((trials - count + 1) * odds)) > _NEGLIGIBLE:
        below.append(weight)
        count -= 1
    weights = [*below[::-1], 1.0]
    count, weight = mode, 1.0
    while count < trials and (weight := weight * (trials - count) / (count + 1) * odds) > _NEGLIGIBLE:
        weights.append(weight)
        count += 1
    total = math.fsum(weights)
    return mode - len(below), [part / total for part in accumulate(weights)]
