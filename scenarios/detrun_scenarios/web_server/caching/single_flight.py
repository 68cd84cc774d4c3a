"""`SingleFlight`: those who want the same thing at the same time share one fetch of it.

The first who comes starts a *flight*, and the others join it. It is taken by a task of its own: were it the first
caller's, that caller's time-out would fail all the others.

Rule: between the look whether there is a flight and the start of one no other task runs. So of each key there is at
most one flight at any moment.

Source: groupcache, `singleflight`; Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013, 3.2.1 (leases against
thundering herds).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from detrun_scenarios.frame.requirement import require
from detrun_scenarios.web_server.invariants import ONE_FETCH

Fetch = Callable[[], Awaitable[str | None]]


class Flight:
    """One fetch that is on its way.

    Attributes:
        landed: set when it has ended.
        value: what it brought.
        error: why it brought nothing.
    """

    __slots__ = ("error", "landed", "value")

    def __init__(self) -> None:
        self.landed = trio.Event()
        self.value: str | None = None
        self.error: Exception | None = None


class SingleFlight:
    """See the module.

    Args:
        tasks: in which flights are taken.

    Attributes:
        flights: those on their way, by key.
        taken: how many there were of each key.
    """

    def __init__(self, tasks: trio.Nursery) -> None:
        self.tasks = tasks
        self.flights: dict[str, list[Flight]] = {}
        self.taken: dict[str, int] = {}

    async def join(self, key: str, fetch: Fetch) -> Flight:
        """The flight of a key, a new one if none is on its way."""
        flights = self.flights.get(key)
        return flights[0] if flights else self.start(key, fetch)

    def start(self, key: str, fetch: Fetch) -> Flight:
        """Begin a flight."""
        flight = Flight()
        flights = self.flights.setdefault(key, [])
        flights.append(flight)
        require(len(flights) == 1, ONE_FETCH, f"{len(flights)} of {key}")
        self.taken[key] = self.taken.get(key, 0) + 1
        self.tasks.start_soon(self._fly, key, fetch, flight)
        return flight

    async def _fly(self, key: str, fetch: Fetch, flight: Flight) -> None:
        try:
            flight.value = await fetch()
        except Exception as error:
            flight.error = error
        finally:
            self.flights[key].remove(flight)
            if not self.flights[key]:
                del self.flights[key]
            flight.landed.set()
