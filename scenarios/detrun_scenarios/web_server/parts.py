"""`Parts`: what the system is made of. A planted bug is a subclass of one of them that differs in one method.

Each part of the web server is made once for each start, within its node (`serving.stack`). Two parts are made once for
a run and survive what their nodes go through: the database, with the dicts ``rows`` (item: text), ``orders`` (order:
(item, count)) and ``sold`` (item: count); and the upstream service, with ``slowness`` (a factor of its service times),
``failure_share`` and ``served`` (requests it has begun), of which a workload moves the first two during an outage.
"""

from __future__ import annotations

from dataclasses import dataclass

from detrun_scenarios.web_server.application.in_flight import InFlight
from detrun_scenarios.web_server.backend.database_client import DatabaseClient
from detrun_scenarios.web_server.backend.database_server import DatabaseServer
from detrun_scenarios.web_server.backend.upstream_client import UpstreamClient
from detrun_scenarios.web_server.backend.upstream_service import UpstreamService
from detrun_scenarios.web_server.caching.cache import Cache
from detrun_scenarios.web_server.caching.single_flight import SingleFlight
from detrun_scenarios.web_server.resilience.admission import Admission
from detrun_scenarios.web_server.resilience.breaker import Breaker
from detrun_scenarios.web_server.resilience.hedges import Hedges
from detrun_scenarios.web_server.resilience.pool import ConnectionPool
from detrun_scenarios.web_server.resilience.retries import Retries
from detrun_scenarios.web_server.resilience.retry_budget import RetryBudget
from detrun_scenarios.web_server.resilience.seats import Seats
from detrun_scenarios.web_server.serving.drain import Drain


@dataclass(frozen=True, slots=True)
class Parts:
    """The classes."""

    in_flight: type[InFlight] = InFlight
    drain: type[Drain] = Drain
    seats: type[Seats] = Seats
    pool: type[ConnectionPool] = ConnectionPool
    database_client: type[DatabaseClient] = DatabaseClient
    flights: type[SingleFlight] = SingleFlight
    cache: type[Cache] = Cache
    budget: type[RetryBudget] = RetryBudget
    retries: type[Retries] = Retries
    hedges: type[Hedges] = Hedges
    breaker: type[Breaker] = Breaker
    upstream_client: type[UpstreamClient] = UpstreamClient
    admission: type[Admission] = Admission
    database_server: type[DatabaseServer] = DatabaseServer
    upstream_service: type[UpstreamService] = UpstreamService


RIGHT = Parts()
