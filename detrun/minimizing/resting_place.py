"""Where a minimization stands: the last iterate where it travels, the mean of the later half where it wanders.

Around a minimum the steps follow noise, and the mean of many iterates is closer to it than any one of them. On the way
there the mean lags behind. Each coordinate is judged by itself: it travels if what it moved in all over the later half
of the iterates is at least half of what it moved step by step.

Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", SIAM J. Control and Optimization
30 (1992); Rakhlin, Shamir and Sridharan, ICML 2012, for the mean of a later part; Pesme, Dieuleveut and Flammarion,
ICML 2020, for telling the phases apart by distances.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

STRAIGHT = 0.5  # of the length of the path


def resting_place(iterates: Sequence[Sequence[float]]) -> list[float]:
    """The coordinates that iterates, oldest first and at least one, stand for."""
    later = iterates[len(iterates) // 2 :]
    return [_of(column) for column in zip(*later, strict=True)]


def _of(places: Sequence[float]) -> float:
    length = math.fsum(abs(after - before) for before, after in pairwise(places))
    if abs(places[-1] - places[0]) >= STRAIGHT * length:
        return places[-1]
    return math.fsum(places) / len(places)
