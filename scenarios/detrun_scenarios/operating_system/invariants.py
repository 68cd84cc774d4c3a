"""What is always true of the machine: names, and `require`, by which its parts check them."""

from __future__ import annotations

from typing import Final

import detrun
from detrun.checkers.assertions import AssertionViolatedError

WORK_CONSERVED: Final = "no core sleeps while a thread waits for it"
NO_STARVATION: Final = "every thread that can run runs soon"
BOUNDED_INVERSION: Final = "a lock is held no longer than those who want it would let it be"
LAST_WRITE: Final = "a page reads as it was last written"
FRAMES_CONSERVED: Final = "every frame has one use"


def require(condition: bool, name: str, detail: str) -> None:
    """Fail the run, with the detail as a note, unless the condition of that name holds."""
    try:
        detrun.always(condition, name)
    except AssertionViolatedError as error:
        error.add_note(detail)
        raise
