"""A flash crowd at a site: what the picture of the scenario shows.

Requests come at a steady rate, then seven times as many for a second and a half; later the upstream service is slow
and fails for a second. What waits where is looked at again and again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import trio

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.web_server.resilience.breaker import BreakerState
from detrun_scenarios.web_server.site import START_SECONDS, Site, site
from detrun_scenarios.web_server.workload.arrivals import Crowd
from detrun_scenarios.web_server.workload.browsers import Browsers, Outcome
from detrun_scenarios.web_server.workload.operator import suffer
from detrun_scenarios.web_server.workload.runs import ask, fill, settings_of
from detrun_scenarios.web_server.workload.sizes import Outage, Workload

FLASH = (1.5, 3.0)  # seconds, from the beginning
OUTAGE = Outage(at=4.5, seconds=1.0, slowness=5.0, failure_share=1.0)
WORKLOAD = Workload(
    crowd=Crowd(rate=70.0, seconds=6.5, flash=FLASH, factor=7.0),
    outages=(OUTAGE,),
)
LOOK_SECONDS = 0.01  # between two samples


@dataclass(slots=True)
class Story:
    """See the module. `tell` is its program.

    Attributes:
        times: of the samples, in seconds from the beginning.
        in_flight: requests inside the application.
        queued: of these, how many wait for a connection to the database.
        limit: requests that admission lets in at once.
        breaker: its state.
        outcomes: of all requests.
    """

    times: list[float] = field(default_factory=list)
    in_flight: list[int] = field(default_factory=list)
    queued: list[int] = field(default_factory=list)
    limit: list[float] = field(default_factory=list)
    breaker: list[BreakerState] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    async def tell(self, params: Mapping[str, Any]) -> None:
        """Let it happen. The program, for `detrun.record`."""
        browsers = Browsers(WORKLOAD.patience, WORKLOAD.items)
        async with site(settings_of(params, WORKLOAD)) as found, trio.open_nursery() as nursery:
            fill(found, WORKLOAD.items)
            for outage in WORKLOAD.outages:
                nursery.start_soon(suffer, found, outage)
            found.client_node.start(ask, browsers, WORKLOAD)
            while found.client_node.is_running:
                self.look(found)
                await trio.sleep(LOOK_SECONDS)
            nursery.cancel_scope.cancel()
        self.outcomes = [replace(one, began=plain(one.began) - START_SECONDS) for one in browsers.outcomes]

    def look(self, found: Site) -> None:
        """One sample."""
        stack = found.web.stack
        assert stack is not None
        self.times.append(plain(trio.current_time()) - START_SECONDS)
        self.in_flight.append(stack.in_flight.count)
        self.queued.append(stack.pool.waiting)
        self.limit.append(plain(stack.admission.limit))
        self.breaker.append(stack.breaker.state)
