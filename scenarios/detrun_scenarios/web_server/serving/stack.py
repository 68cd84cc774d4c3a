"""`Stack`: what one start of the web server is made of, from the connections to the ASGI callable."""

from __future__ import annotations

import trio

from detrun_scenarios.web_server.application.application import Application
from detrun_scenarios.web_server.application.routes import Routes
from detrun_scenarios.web_server.backend.database_client import DatabaseClient
from detrun_scenarios.web_server.backend.upstream_client import UpstreamClient
from detrun_scenarios.web_server.caching.cache import Cache
from detrun_scenarios.web_server.parts import Parts
from detrun_scenarios.web_server.resilience.admission import Admission
from detrun_scenarios.web_server.resilience.breaker import Breaker
from detrun_scenarios.web_server.resilience.hedges import Hedges
from detrun_scenarios.web_server.resilience.retry_budget import RetryBudget
from detrun_scenarios.web_server.settings import Settings


class Stack:
    """Made within the node of the server, anew for each start: a process that begins has an empty cache.

    Args:
        background: a nursery for what outlives a request, such as the refresh of a stale entry.
    """

    def __init__(self, settings: Settings, parts: Parts, background: trio.Nursery) -> None:
        self.pool = parts.pool(settings, parts.seats)
        self.database = DatabaseClient(settings, self.pool)
        self.cache = Cache(settings, background, parts.flights)
        self.breaker = Breaker(settings)
        self.budget = RetryBudget(settings)
        self.retries = parts.retries(settings, self.budget)
        self.hedges = Hedges(settings, self.budget)
        self.upstream = UpstreamClient(settings, self.breaker, self.retries, self.hedges)
        self.admission = Admission(settings)
        self.in_flight = parts.in_flight()
        self.application = Application(Routes(self.database, self.cache, self.upstream), self.admission, self.in_flight)
        self.drain = parts.drain(settings, self.application)

    async def close(self) -> None:
        """Close what holds connections."""
        self.pool.close()
        await self.upstream.close()
        self.in_flight.gauge.close()
