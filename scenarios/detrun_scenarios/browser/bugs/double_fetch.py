"""Two who ask for one resource both find no fetch of it, since the first looks on the disk, and each starts one."""

from __future__ import annotations

from detrun_scenarios.browser.network.cache import Cache, Flight


class DoubleFetch(Cache):
    """Looks on the disk between the look for a flight and the start of one."""

    async def join(self, address: str, kind: str) -> Flight:
        """See `Cache.join`."""
        flight = self.under_way(address)
        if flight is None:
            await self.look(address)  # right: no time passes here
            flight = self.start(address, kind)
        return flight
