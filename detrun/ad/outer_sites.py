"""Discontinuity sites that are found outside this room: by primitives, timers, effects and the world."""

from __future__ import annotations

from detrun.ad import notes, state
from detrun.ad.value import Value, primal_of


def site(kind: str, description: str | None, left: Value | float, right: Value | float) -> None:
    """Note a discontinuity site found outside this package: an order of timers, a compare-exchange, a maximum.

    The margin is ``left - right``; what happened would change if it crossed zero. Sites are told apart by ``kind`` and
    ``description``, which is None for the nearest line of the user. Only runs that are differentiated note it.
    """
    if state.noting:
        notes.margin_elsewhere(kind, description, primal_of(left) - primal_of(right), left, right)
