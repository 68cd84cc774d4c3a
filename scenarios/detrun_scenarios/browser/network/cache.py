"""`Cache`: one fetch a resource. What was fetched is kept on disk; who asks for what is on its way waits for that.

A look on the disk takes a moment. Rule: the *flight* of a resource is noted before that moment passes, so that a
request that comes meanwhile finds it.

Source: Chromium's ``HttpCache``, whose transactions wait for the writer of an entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from detrun_scenarios.browser.invariants import Monitor

DISK_SECONDS = 5e-4


class Flight:
    """A look on the disk, and a fetch if it is not there.

    Attributes:
        landed: set when the body is there.
    """

    __slots__ = ("body", "landed")

    def __init__(self) -> None:
        self.landed = trio.Event()
        self.body = b""


class Cache:
    """See the module.

    Args:
        tasks: in which fetches are made; they go on when the page that asked is left.
        fetch: asks the server: address and kind.
    """

    def __init__(self, tasks: trio.Nursery, fetch: Callable[[str, str], Any], monitor: Monitor) -> None:
        self._tasks = tasks
        self._fetch = fetch
        self._monitor = monitor
        self._disk: dict[str, bytes] = {}
        self._flights: dict[str, Flight] = {}

    async def get(self, address: str, kind: str) -> bytes:
        """The body of a resource, from the disk or from the server."""
        flight = await self.join(address, kind)
        await flight.landed.wait()
        return flight.body

    async def join(self, address: str, kind: str) -> Flight:
        """The flight of a resource: the one under way, or a new one."""
        flight = self.under_way(address)
        return self.start(address, kind) if flight is None else flight

    def under_way(self, address: str) -> Flight | None:
        """The flight of a resource, if there is one."""
        flight = self._flights.get(address)
        if flight is None:
            self._monitor.no_flight_is_found(address)
        return flight

    def start(self, address: str, kind: str) -> Flight:
        """A new flight."""
        self._monitor.flight_starts(address)
        flight = self._flights[address] = Flight()
        self._tasks.start_soon(self._fly, flight, address, kind)
        return flight

    async def look(self, address: str) -> bytes | None:
        """What is on the disk."""
        await trio.sleep(DISK_SECONDS)
        return self._disk.get(address)

    async def _fly(self, flight: Flight, address: str, kind: str) -> None:
        found = await self.look(address)
        flight.body = await self._fetch(address, kind) if found is None else found
        self._disk[address] = flight.body
        self._flights.pop(address, None)
        flight.landed.set()
