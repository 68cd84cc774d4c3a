"""`Parts`: what the system is made of. A planted bug is a subclass of one of them that differs in one method.

Each is made once for each start of the web server, within its node (`serving.stack`).
"""

from __future__ import annotations

from dataclasses import dataclass

from detrun_scenarios.web_server.application.in_flight import InFlight
from detrun_scenarios.web_server.caching.single_flight import SingleFlight
from detrun_scenarios.web_server.resilience.pool import ConnectionPool
from detrun_scenarios.web_server.resilience.retries import Retries
from detrun_scenarios.web_server.resilience.seats import Seats
from detrun_scenarios.web_server.serving.drain import Drain


@dataclass(frozen=True, slots=True)
class Parts:
    """The classes. Methods that bugs replace: `InFlight.add`, `Drain.wait`, `Seats.give_up`,
    `ConnectionPool.may_lend_again`, `SingleFlight.join`, `Retries.may_retry`.
    """

    in_flight: type[InFlight] = InFlight
    drain: type[Drain] = Drain
    seats: type[Seats] = Seats
    pool: type[ConnectionPool] = ConnectionPool
    flights: type[SingleFlight] = SingleFlight
    retries: type[Retries] = Retries


RIGHT = Parts()
