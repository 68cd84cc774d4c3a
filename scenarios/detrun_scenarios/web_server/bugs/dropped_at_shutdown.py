"""A drain that waits for requests in flight, and refuses new ones only then: what comes in between is dropped."""

from __future__ import annotations

from detrun_scenarios.web_server.serving.drain import Drain


class DroppedAtShutdown(Drain):
    """Waits, deregisters, and then refuses."""

    async def wait(self) -> None:
        """See `Drain.wait`."""
        await self.until_empty()
        await self.application.in_flight.gauge.show(0)  # monitoring and balancer learn that the server is empty
        self.application.is_draining = True  # right: before the wait
