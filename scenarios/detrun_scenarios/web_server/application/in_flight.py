"""`InFlight`: how many requests the application has accepted and not yet answered.

A request counts from before its first wait until after its answer, admission included. The count decides when a server
that drains may stop, and monitoring sees each change. Beside the count stands the set of requests that are inside,
which only the invariant reads.
"""

from __future__ import annotations

from detrun_scenarios.frame.news import News
from detrun_scenarios.frame.requirement import require
from detrun_scenarios.web_server.application.gauge import Gauge
from detrun_scenarios.web_server.invariants import COUNTED


class InFlight:
    """See the module.

    Attributes:
        count: requests inside.
        inside: their numbers.
    """

    def __init__(self) -> None:
        self.count = 0
        self.inside: set[int] = set()
        self.gauge = Gauge("in_flight")
        self.news = News()
        self._numbers = 0

    async def enter(self) -> int:
        """A request is accepted; its number."""
        self._numbers += 1
        number = self._numbers
        self.inside.add(number)
        await self.add(1)
        return number

    async def leave(self, number: int) -> None:
        """The request is answered, or its client is gone."""
        self.inside.discard(number)
        await self.add(-1)

    async def add(self, change: int) -> None:
        """Change the count, and show it."""
        self.count += change
        self.changed()
        await self.gauge.show(self.count)

    def changed(self) -> None:
        """The count was changed: it is that of the requests inside."""
        require(self.count == len(self.inside), COUNTED, f"{self.count} are counted, {len(self.inside)} are inside")
        self.news.tell()

    async def empty(self) -> None:
        """Return when the count is zero."""
        while self.count:
            await self.news.wait()
