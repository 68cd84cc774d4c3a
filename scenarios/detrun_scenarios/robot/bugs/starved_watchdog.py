"""The watchdog looks when the processor has nothing else to do, which is never while pictures keep coming."""

from __future__ import annotations

from detrun_scenarios.robot.body.processor import Urgency
from detrun_scenarios.robot.body.watchdog import Watchdog


class StarvedWatchdog(Watchdog):
    """Is the least urgent job."""

    def urgency(self) -> Urgency:
        """See `Watchdog.urgency`."""
        return Urgency.BACKGROUND  # right: the most urgent
