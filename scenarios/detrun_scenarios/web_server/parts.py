"""`Parts`: what the system is made of. A planted bug is a subclass of one of them that differs in one method.

Each part of the web server is made once for each start, within its node (`serving.stack`). Two parts are made once for
a run and survive what their nodes go through: the database, with the dicts ``rows`` (item: text), ``orders`` (order:
(item, count)) and ``sold`` (item: count); and the upstream service, with ``slowness`` (a factor of its service times),
``failure_share`` and ``served`` (requests it has begun), of which a workload moves the first two during an outage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from detrun_scenarios.web_server.application.in_flight import InFlight
from detrun_scenarios.web_server.serving.drain import Drain


@dataclass(frozen=True, slots=True)
class Parts:
    """The classes."""

    in_flight: type[InFlight] = InFlight
    drain: type[Drain] = Drain
    pool: Any = None
    database_client: Any = None
    cache: Any = None
    budget: Any = None
    retries: Any = None
    hedges: Any = None
    breaker: Any = None
    upstream_client: Any = None
    admission: Any = None
    database_server: Any = None
    upstream_service: Any = None


RIGHT = Parts()
