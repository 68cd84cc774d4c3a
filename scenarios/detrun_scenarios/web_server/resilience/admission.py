"""`Admission`: who may come in when more come than can be served.

Three gates, one behind the other. A token bucket refuses what is above the rate that was agreed on. A limit bounds how
many are inside at once; who comes then waits in a queue. The queue is short: a request that would wait longer than its
client does is refused at once, so that the client knows, and may come back when the answer says (`Retry-After`).

The limit is found from how requests fare (`concurrency_limit`). This is back-pressure: where the database gets slow,
requests stay longer, the limit shrinks, and fewer are let in.

Source: the order of the gates is that of Envoy's HTTP filters (local rate limit, then adaptive concurrency); RFC 9110,
10.2.3, for `Retry-After`.
"""

from __future__ import annotations

from typing import Any

from detrun_scenarios.web_server.errors import OverloadedError
from detrun_scenarios.web_server.resilience.concurrency_limit import ConcurrencyLimit
from detrun_scenarios.web_server.resilience.seats import Seats
from detrun_scenarios.web_server.resilience.token_bucket import TokenBucket
from detrun_scenarios.web_server.settings import Settings

RETRY_AFTER = 1.0  # seconds, where the queue is full; how long it will be so is not known


class Admission:
    """See the module.

    Args:
        settings: `admission_rate`, `admission_burst`, `queue_length`, and those of the limit.

    Attributes:
        refused: how many were not let in.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.bucket = TokenBucket(settings.admission_rate, settings.admission_burst)
        self.concurrency = ConcurrencyLimit(settings)
        self.seats = Seats(self.concurrency.limit)
        self.refused = 0

    @property
    def limit(self) -> float:
        """Requests inside at once, as the adaptive limit stands now."""
        return self.concurrency.limit

    @property
    def inside(self) -> int:
        """Requests that were let in and have not left."""
        return self.seats.taken

    async def enter(self) -> None:
        """Return when the request may go on.

        Raises:
            OverloadedError: it may not.
        """
        if not self.bucket.try_take():
            self.refused += 1
            raise OverloadedError(self.bucket.seconds_until_token())
        if len(self.seats.waiting) >= self.settings.queue_length:
            self.refused += 1
            raise OverloadedError(RETRY_AFTER)
        await self.seats.take()

    def leave(self, seconds: Any, succeeded: bool | None) -> None:
        """The request that entered is over.

        Args:
            seconds: that it was inside.
            succeeded: None if it was given up, which says nothing of what the server can do.
        """
        if succeeded is not None:
            self.concurrency.learn(seconds, succeeded, self.seats.taken)
            self.seats.size = self.concurrency.limit
        self.seats.give_back()
