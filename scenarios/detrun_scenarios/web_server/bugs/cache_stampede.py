"""Readers of one key who all find no fetch of it on its way, and each starts one."""

from __future__ import annotations

import trio

from detrun_scenarios.web_server.caching.single_flight import Fetch, Flight, SingleFlight


class CacheStampede(SingleFlight):
    """Lets others have a turn before it starts a flight, so that a burst of misses does not hold up the hits."""

    async def join(self, key: str, fetch: Fetch) -> Flight:
        """See `SingleFlight.join`."""
        flights = self.flights.get(key)
        if flights:
            return flights[0]
        await trio.lowlevel.checkpoint()  # right: none between the look and the start
        return self.start(key, fetch)
