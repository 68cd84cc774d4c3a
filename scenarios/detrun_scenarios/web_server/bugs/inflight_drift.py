"""A count that is read, shown, and written back: of two changes at once one is lost."""

from __future__ import annotations

from detrun_scenarios.web_server.application.in_flight import InFlight


class InflightDrift(InFlight):
    """Shows the new count before it is the count."""

    async def add(self, change: int) -> None:
        """See `InFlight.add`."""
        count = self.count + change
        await self.gauge.show(count)
        self.count = count  # right: before the turn is given up
        self.changed()
