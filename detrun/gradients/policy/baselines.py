"""Baselines: numbers that are taken off the loss before it is multiplied with the score.

A score has mean zero, so any number that does not depend on a sample's own decisions may be taken off its loss; a good
one takes most of the variance off. Each sample gets the baseline of all others, so nothing becomes biased.

Source: Kool, van Hoof and Welling, "Buy 4 REINFORCE samples, get a baseline for free!", 2019, for the mean of the
others; Greensmith, Bartlett and Baxter, "Variance reduction techniques for gradient estimates in reinforcement
learning", JMLR 5 (2004), for the one of least variance, ``E[L s²] / E[s²]``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

LEAVE_ONE_OUT = "leave-one-out"
FITTED = "fitted"
NONE = "none"
BASELINES = (LEAVE_ONE_OUT, FITTED, NONE)


def baselines_of(kind: str, losses: Sequence[float], scores: Sequence[float]) -> list[float]:
    """The baseline of each sample, for one parameter, from the other samples' losses and scores."""
    count = len(losses)
    if kind == NONE or count < 2:
        return [0.0] * count
    if kind == LEAVE_ONE_OUT:
        total = math.fsum(losses)
        return [(total - loss) / (count - 1) for loss in losses]
    squares = [score * score for score in scores]
    weighted = [loss * square for loss, square in zip(losses, squares, strict=True)]
    upper, lower = math.fsum(weighted), math.fsum(squares)
    return [
        (upper - one) / (lower - square) if lower > square else 0.0
        for one, square in zip(weighted, squares, strict=True)
    ]
