"""Where to put the next snapshot: the split that makes reversing a chain of windows cost the fewest forward steps.

`split` is the step of *treeverse*: to reverse ``length`` windows from a held state with ``spare`` more snapshots, run
forward over the first ``split`` windows, hold the state there, reverse what lies behind it with one snapshot less, and
then what lies before it with all of them. With ``s = spare + 1`` snapshots and ``r`` repetitions at most
``beta(s, r) = C(s + r, s)`` windows can be reversed; the split keeps both parts within their bounds.

Source: Griewank, "Achieving logarithmic growth of temporal and spatial complexity in reverse automatic
differentiation", 1992; Griewank and Walther, "Algorithm 799: revolve", ACM TOMS 2000, equation (4) and below.
"""

from __future__ import annotations

from math import comb


def reversible(snapshots: int, repetitions: int) -> int:
    """``beta(s, r)``: how many windows ``snapshots`` can reverse, each run forward at most ``repetitions`` times."""
    return comb(snapshots + repetitions, snapshots) if repetitions >= 0 else 0


def repetitions_for(length: int, snapshots: int) -> int:
    """The least ``r`` with ``beta(snapshots, r) >= length``."""
    repetitions = 0
    while reversible(snapshots, repetitions) < length:
        repetitions += 1
    return repetitions


def split(length: int, spare: int) -> int:
    """How many of ``length >= 2`` windows to run forward before the next snapshot; from 1 to ``length - 1``."""
    snapshots = spare + 1
    if snapshots <= 1:
        return length - 1
    repetitions = repetitions_for(length, snapshots)
    place = max(reversible(snapshots, repetitions - 2), length - reversible(snapshots - 1, repetitions))
    return min(max(1, place), length - 1)


def forward_windows(length: int, snapshots: int) -> int:
    """Windows run forward, without a tape, to reverse ``length`` with ``snapshots``, the first state's included.

    ``t(l, s) = r l - beta(s + 1, r - 1)`` in closed form, the least possible.
    """
    repetitions = repetitions_for(length, snapshots)
    return repetitions * length - reversible(snapshots + 1, repetitions - 1)
