"""`require`: a condition of an invariant, with what was found instead as a note of the failure; `about`: where it was.

The message of the failure is that of the invariant alone, so that two schedules which break it with other numbers fail
alike, and one may be shrunk to the other.
"""

from __future__ import annotations

import detrun
from detrun.checkers.assertions import AssertionViolatedError
from detrun.checkers.noted import About
from detrun.checkers.transactions import Place


def about(holds: bool, *operations: tuple[str, Place | None]) -> About:
    """A condition with the operations it is about and where they were noted, as far as that is known."""
    return About(holds, tuple((label, place) for label, place in operations if place is not None))


def require(condition: object, name: str, detail: str) -> None:
    """Fail the run unless a condition of the invariant of this name holds.

    Args:
        condition: a bool, or what says where it was broken, as `detrun.always` takes it.

    Raises:
        AssertionViolatedError: it does not hold.
    """
    try:
        detrun.always(condition, name)
    except AssertionViolatedError as error:
        error.add_note(detail)
        raise
