"""Choosing a few of many places, each with a probability in proportion to what it may be worth.

Systematic sampling: the places lie in a row, each as long as its probability, and a comb with teeth 1 apart falls on
the row at random. Each place is hit with its probability exactly, and places next to each other are seldom hit
together. An estimate of a sum that weighs what was chosen by one over its probability is unbiased whatever the
probabilities are; the nearer they are to the terms, the less it varies. A floor keeps those weights bounded where the
guess is too small.

Source: Madow, "On the theory of systematic sampling II", Annals of Mathematical Statistics 20 (1949).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

FLOOR = 0.25  # of the mean worth: no place is taken to be worth less


def probabilities(worths: Sequence[float], count: int) -> list[float]:
    """In proportion to worths, with ``count`` for their sum and none above 1."""
    if len(worths) <= count:
        return [1.0] * len(worths)
    usable = [one if math.isfinite(one) else 0.0 for one in worths]
    floor = FLOOR * math.fsum(usable) / len(usable)
    left = {place: max(one, floor) or 1.0 for place, one in enumerate(usable)}
    found = [1.0] * len(usable)
    while True:
        # Those that would be chosen with certainty are; the others share what is left.
        scale = (count - (len(usable) - len(left))) / math.fsum(left.values())
        certain = [place for place, one in left.items() if one * scale >= 1.0]
        if not certain:
            break
        for place in certain:
            del left[place]
        if not left:
            return found
    for place, one in left.items():
        found[place] = one * scale
    return found


def chosen(shares: Sequence[float], unit: float) -> list[int]:
    """The places that a comb whose first tooth falls on ``unit`` hits."""
    found, begun, tooth = [], 0.0, unit
    for place, share in enumerate(shares):
        begun += share
        while tooth < begun:
            found.append(place)
            tooth += 1.0
    return found
