"""Discontinuity sites of virtual time: margins between deadlines, whose order decides the schedule.

The schedule of a timed program depends on its parameters through the order in which deadlines pass. Whenever time
jumps to a deadline, the distance to the next one is a margin; whenever a timer is taken back before it fires (a timeout
that was not reached), so is the time that was left.
"""

from __future__ import annotations

import math
from typing import Any

from detrun.ad.validity import site
from detrun.ad.value import Value


class TimingSites:
    """A `TimeObserver` that notes margins between deadlines of which at least one carries a derivative."""

    def advanced(self, chosen: Any, following: Any | None) -> None:
        """The timer of ``chosen`` fired; the next deadline is ``following``."""
        if following is not None and (isinstance(chosen, Value) or isinstance(following, Value)) and _finite(following):
            site("timer order", "two timers fire in the other order", following, chosen)

    def overdue(self, deadline: Any, now: Any) -> None:
        """A timer was set for the present or the past."""
        if isinstance(deadline, Value) or isinstance(now, Value):
            site("late timer", "a timer that was due at once has to wait", deadline, now)

    def disarmed(self, deadline: Any, now: Any) -> None:
        """A timer was taken back before it fired."""
        if (isinstance(deadline, Value) or isinstance(now, Value)) and _finite(deadline):
            site("timeout", "a timeout fires before what it guards has ended", deadline, now)


def _finite(deadline: Any) -> bool:
    return isinstance(deadline, Value) or math.isfinite(deadline)
