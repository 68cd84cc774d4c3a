"""Notes about a run that is differentiated: margins, detachments, entries whose derivative does not exist.

They go to `state.notebook`: the tape while one is on, and in forward mode a book of their own. Nothing here allots an
id, so that ids stay the same with the tape off, and nothing raises: a note must never change what the program does.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from detrun.ad import state
from detrun.ad.source_lines import calling_line, nearest_user_line, shown
from detrun.ad.tape import NO_PARENT

# Operations that are straight, or straight between sites. A product bends where both factors move: the tape shows that.
_STRAIGHT = frozenset({"+", "-", "*", "negative", "abs", "%", "sum", "mean"})
_CAME_OUT: dict[str, Callable[[float, float], bool]] = {"==": operator.eq, ">=": operator.ge, "<=": operator.le}


def margin(kind: str, value: float, left: Any, right: Any = None, right_weight: float = -1.0, depth: int = 1) -> None:
    """``value = left + right_weight * right + constant`` decided something; a side may be a number without history.

    A comparison made by the user's line; one made by trio or detrun is theirs to report, through `outer_sites.site`.

    The exception is what trio does without setting a timer, which no other note covers: it asks ``seconds == 0`` and
    ``now >= deadline``, is told yes, and does not wait.
    """
    place = calling_line(depth)
    if place is None and kind in _CAME_OUT and _CAME_OUT[kind](value, 0.0):
        place = nearest_user_line()
    if place is not None:
        assert state.notebook is not None
        state.notebook.sites.add(kind, place, None, value, left, right, right_weight)


def wider_margins(kind: str, passes: int) -> None:
    """The user's line has passed so many more margins of a kind, none of them among the nearest of those noted."""
    place = calling_line()
    if place is not None:
        assert state.notebook is not None
        state.notebook.sites.add_wider(kind, place, passes)


def margin_elsewhere(kind: str, description: str | None, value: float, left: Any, right: Any) -> None:
    """A decision that detrun made for the program."""
    place = nearest_user_line() if description is None else None
    assert state.notebook is not None
    state.notebook.sites.add(kind, place, description, value, left, right, -1.0)


def rounding(kind: str, primal: float, value: Any, rounder: Callable[[float], int], scale: float = 1.0) -> None:
    """The distance to the nearest number at which ``rounder`` jumps; ``scale`` is ``10**digits`` for ``round``."""
    scaled = primal * scale
    if not math.isfinite(scaled) or scale == 0.0:
        return
    below = math.floor(scaled)
    if rounder is round:
        jump = below + 0.5
    else:
        jump = below if scaled - below <= 0.5 else below + 1
        if rounder is math.trunc and jump == 0:
            jump = -1 if scaled < 0 else 1
    margin(kind, primal - jump / scale, value)


def quotient(kind: str, left: Any, right: Any) -> None:
    """``x // y`` jumps where ``x - whole * y`` crosses zero; the whole number nearest to ``x / y`` is the next one."""
    numerator, denominator = getattr(left, "primal", left), getattr(right, "primal", right)
    ratio = numerator / denominator
    if math.isfinite(ratio):
        whole = float(round(ratio))
        margin(kind, numerator - whole * denominator, left, right, -whole)


def detachment() -> None:
    """The user's line took the bare number out of a Value."""
    place = calling_line()
    if place is not None:
        assert state.notebook is not None
        detachments = state.notebook.detachments
        detachments[place] = detachments.get(place, 0) + 1


def record_entry(name: str, entry_id: int, parents: Sequence[tuple[int, float]]) -> None:
    """Add the entry of an operation with any number of parents, and note a partial that is infinite or undefined."""
    tape = state.tape
    assert tape is not None
    if state.bends is not None and name not in _STRAIGHT:
        state.bends(entry_id, False)
    if len(parents) == 1:
        parent, partial = parents[0]
        state.extend((parent, NO_PARENT, partial, 0.0))
    elif len(parents) == 2:
        (left, left_partial), (right, right_partial) = parents
        state.extend((left, right, left_partial, right_partial))
    else:
        tape.add_wide(tuple(parent for parent, _ in parents), tuple(partial for _, partial in parents))
    for _, partial in parents:
        if partial - partial != 0.0:  # inf - inf and nan - nan are nan
            tape.singular[entry_id] = name, shown(nearest_user_line())
            break
