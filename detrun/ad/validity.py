"""Validity radius of a local gradient: how far each parameter can move before the schedule changes.

To first order a margin ``m`` becomes ``m + dm/dp * t`` when parameter ``p`` moves by ``t``, and crosses zero at
``t = -m / (dm/dp)``. The radius is the smallest ``|t|`` over all kept margins; the site is the one that flips there.

Read it as an estimate: margins are linearized, only the `sites.NEAREST_PER_SITE` closest passes of each site are kept,
and a site that flips may be followed by code that no longer meets the others. A margin that does not depend on the
parameter cannot flip through it, even at zero (``0.0 >= 0.0`` of two constants); one that depends on it and is zero (a
tie) gives radius 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from detrun.ad.forward import tangent_sweep
from detrun.ad.reverse import backward
from detrun.ad.sites import Margin, Site
from detrun.ad.tape import Tape


@dataclass(frozen=True, slots=True)
class Validity:
    """The range of one parameter over which the recorded run would, to first order, have gone the same way."""

    radius: float
    """Distance to the nearest flip in either direction; inf if no site depends on the parameter, 0.0 at a tie."""
    down: float
    """The distance that the parameter can fall."""
    up: float
    """The distance that it can rise."""
    site: Site | None
    """The site that flips first; ``str(site)`` gives kind and source line."""
    margin: float | None
    """The margin of that pass."""
    slope: float | None
    """``d margin / d parameter``."""
    complete: bool = True
    """Whether all kept margins were looked at; False: the closest only, since there are very many."""


ENTRIES_SWEPT_MAX = 1_500_000  # about half a second of sweeping
SWEEPS_MIN = 16


def validity(tape: Tape, parameters: Mapping[str, int]) -> dict[str, Validity]:
    """The validity of each parameter on a whole tape.

    Args:
        tape: a finished tape that began before the parameters.
        parameters: name -> id.

    Cost: one forward sweep per parameter or one sparse reverse sweep per kept margin, whichever are fewer; but no more
    sweeps than `SWEEPS_MIN` or as many as pass `ENTRIES_SWEPT_MAX` entries. Beyond that only the closest margins are
    looked at, and the result says so: `Validity.complete` is False.
    """
    passes = [(found, margin) for found in tape.sites for margin in found.nearest]
    has_pullbacks = any(callable(partials) for _, partials in tape.wide)
    sweeps_max = max(SWEEPS_MIN, ENTRIES_SWEPT_MAX // (len(tape) or 1))
    slopes: dict[str, list[float]]
    complete = True
    if has_pullbacks or min(len(passes), sweeps_max) < len(parameters):
        if len(passes) > sweeps_max:
            closest = sorted(range(len(passes)), key=lambda place: abs(passes[place][1].value))[:sweeps_max]
            passes = [passes[place] for place in sorted(closest)]
            complete = False
        gradients = [backward(tape, margin.seeds(), wanted=parameters.values()) for _, margin in passes]
        slopes = {name: [found[entry_id] for found in gradients] for name, entry_id in parameters.items()}
    else:
        slopes = {}
        for name, entry_id in parameters.items():
            tangents = tangent_sweep(tape, {entry_id: 1.0})
            slopes[name] = [
                sum(tangents.get(side, 0.0) * weight for side, weight in margin.seeds().items()) for _, margin in passes
            ]
    return {name: nearest_flip(passes, slopes[name], complete=complete) for name in parameters}


def nearest_flip(passes: list[tuple[Site, Margin]], slopes: list[float], *, complete: bool = True) -> Validity:
    """The validity of one parameter from ``d margin / d parameter`` of each kept pass. Ties go to the earlier site."""
    down = up = radius = inf
    first: tuple[Site, Margin, float] | None = None
    for (found, margin), slope in zip(passes, slopes, strict=True):
        if not slope:
            continue
        move = -margin.value / slope
        if move >= 0.0:
            up = min(up, abs(move))  # -0.0 is at least 0.0, too
        if move <= 0.0:
            down = min(down, abs(move))
        if abs(move) < radius:
            radius = abs(move)
            first = found, margin, slope
    if first is None:
        return Validity(radius, down, up, None, None, None, complete)
    return Validity(radius, down, up, first[0], first[1].value, first[2], complete)
