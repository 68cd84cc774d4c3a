"""One step of an ordinary differential equation, of order five with an estimate of its error.

Numbers are floats or Values. Each component of a stage is one `detrun.dot`, so that a step of a small system has few
entries on the tape.

Source: Dormand and Prince, "A family of embedded Runge-Kutta formulae", Journal of Computational and Applied
Mathematics 6, 1980.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import detrun

Numbers = tuple[Any, ...]  # floats or Values
Slope = Callable[[Any], Numbers]  # of a state: its derivative by time
Fold = Callable[[Numbers, Sequence[float], Sequence[Numbers]], list[Any]]

STAGES: tuple[tuple[float, ...], ...] = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
"""Weights of the slopes at each stage. The last stage is the result, and its slope the first one of the next step."""
ERRORS = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
"""Weights of the slopes in the difference to the result of order four."""
ORDER = 5


def advance(slope: Slope, state: Any, seconds: float, first: Numbers, fold: Fold) -> tuple[Any, list[Numbers]]:
    """The state after a step, and the slopes of its stages.

    Args:
        state: a named tuple of numbers; the result is one, too.
        seconds: of the step, a plain number: how a step is chosen has no derivative.
        first: the slope at ``state``.
        fold: how numbers are added: `on_floats`, or `on_values`, which gives the same bits.
    """
    slopes = [first]
    reached = state
    for weights in STAGES:
        scaled = [seconds * weight for weight in weights]
        reached = remade(state, fold(state, scaled, slopes))
        slopes.append(slope(reached))
    return reached, slopes


def on_floats(state: Numbers, weights: Sequence[float], slopes: Sequence[Numbers]) -> list[float]:
    """``state + sum(weight * slope)``, each component added up from the left."""
    sums = [1.0 * one for one in state]
    for weight, slope in zip(weights, slopes, strict=True):
        sums = [one + weight * rise for one, rise in zip(sums, slope, strict=True)]
    return sums


def on_values(state: Numbers, weights: Sequence[float], slopes: Sequence[Numbers]) -> list[Any]:
    """The same, an entry on the tape for each component."""
    return [detrun.dot((1.0, *weights), (one, *rises)) for one, *rises in zip(state, *slopes, strict=True)]


def error_of(before: Any, after: Any, slopes: Sequence[Numbers], seconds: float, tolerance: float) -> float:
    """The estimated error of a step in units of what is allowed: relative to numbers above one, absolute below.

    Of plain numbers.
    """
    found = on_floats((0.0,) * len(before), ERRORS, slopes)
    allowed = (max(1.0, abs(one), abs(other)) for one, other in zip(before, after, strict=True))
    worst: float = max(abs(one) / most for one, most in zip(found, allowed, strict=True))
    return worst * seconds / tolerance


def remade(state: Any, numbers: Sequence[Any]) -> Any:
    """A named tuple of the kind of ``state`` with these numbers."""
    return state._make(numbers)
