"""Discontinuity sites of virtual time: margins between deadlines, whose order decides the schedule.

The schedule of a timed program depends on its parameters through the order in which deadlines pass. Whenever a timer
fires, the distance to the one that fired before is a margin, if both were waiting by then; whenever a timer is taken
back before it fires (a timeout that was not reached), so is the time that was left. While all of these stay positive
every timer fires after the same ones as it did: one that was not waiting yet when another fired was set after it, and
one that never fired was in front of none. The next deadline in the heap would not do for the first: it may be taken
back, and what lies behind it is never compared. Each is named by the line that waits, or that leaves the time-out,
where the timer belongs to the program.
"""

from __future__ import annotations

import math
from typing import Any

from detrun.ad.outer_sites import site
from detrun.ad.source_lines import nearest_user_line
from detrun.ad.value import Value
from detrun_scheduler.trio_host.pending import line_that_waits


class TimingSites:
    """A `TimeObserver` that notes margins between deadlines of which at least one carries a derivative."""

    def __init__(self) -> None:
        self.line_before: str | None = None  # that waited for the timer that fired last

    def advanced(self, deadline: Any, previous: Any | None, key: Any, sequence: int) -> None:
        """The timer of ``key``, due at ``deadline``, fired; it was waiting when that of ``previous`` did."""
        line = line_that_waits(key)
        if previous is not None and (isinstance(deadline, Value) or isinstance(previous, Value)):
            named = line or self.line_before or "two timers fire in the other order"
            site("timer order", named, deadline, previous)
        self.line_before = line

    def overdue(self, deadline: Any, now: Any, key: Any) -> None:
        """A timer was set for the present or the past."""
        if isinstance(deadline, Value) or isinstance(now, Value):
            site("late timer", line_that_waits(key) or "a timer that was due at once has to wait", deadline, now)

    def disarmed(self, deadline: Any, now: Any, sequence: int) -> None:
        """A timer was taken back before it fired."""
        if (isinstance(deadline, Value) or isinstance(now, Value)) and _finite(deadline):
            # The program leaves the scope just now: the nearest line of it is the ``with`` statement, or what sleeps.
            is_known = nearest_user_line() is not None
            site("timeout", None if is_known else "a timeout fires before what it guards has ended", deadline, now)


def _finite(deadline: Any) -> bool:
    return isinstance(deadline, Value) or math.isfinite(deadline)
