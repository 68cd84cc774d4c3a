"""`Cache`: gives a value that it keeps, and has it fetched otherwise, as few times as possible.

A fresh entry is given. A stale one is given as well, and one flight leaves for a new value behind the reader's back
("stale while revalidate"). Where there is nothing, the reader joins a flight and waits. A flight that fails leaves what
is kept alone: a stale entry serves on while it may ("stale if error").

A write drops the entry (`forget`). A flight that was on its way then may bring the old value. Those who wait for it get
it, since they asked before the write was done, and it is not kept.

Source: RFC 5861; what writes do is that of leases in memcache (Nishtala et al., NSDI 2013, 3.2.1).
"""

from __future__ import annotations

import trio

from detrun_scenarios.web_server.caching.entries import Entries
from detrun_scenarios.web_server.caching.single_flight import Fetch, SingleFlight
from detrun_scenarios.web_server.settings import Settings


class Cache:
    """See the module.

    Args:
        tasks: in which fetches are made.
        flights: the class of `flights`.

    Attributes:
        hits, stale_hits, misses: readers who were given a fresh or a stale entry at once, and who waited.
    """

    def __init__(self, settings: Settings, tasks: trio.Nursery, flights: type[SingleFlight] = SingleFlight) -> None:
        self.entries = Entries(settings)
        self.flights = flights(tasks)
        self.hits = self.stale_hits = self.misses = 0
        self._writes: dict[str, int] = {}

    async def get(self, key: str, fetch: Fetch) -> str | None:
        """What is kept for the key, or what a fetch of it gives.

        Raises:
            Exception: what the fetch raised; all who wait for the same fetch get it.
        """
        value, age = self.entries.look_up(key)
        if age == "fresh":
            self.hits += 1
            return value

        async def fetch_and_keep() -> str | None:
            writes = self._writes.get(key, 0)
            found = await fetch()
            if self._writes.get(key, 0) == writes:
                self.entries.put(key, found)
            return found

        flight = await self.flights.join(key, fetch_and_keep)
        if age == "stale":
            self.stale_hits += 1
            return value
        self.misses += 1
        await flight.landed.wait()
        if flight.error is not None:
            raise flight.error
        return flight.value

    def forget(self, key: str) -> None:
        """Drop what is kept for a key, because it has changed; what is being fetched is not kept either."""
        self.entries.forget(key)
        self._writes[key] = self._writes.get(key, 0) + 1
