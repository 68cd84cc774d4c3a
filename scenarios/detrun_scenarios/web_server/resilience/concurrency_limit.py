"""`ConcurrencyLimit`: how many requests may be at work at once, found from how they fare.

The limit grows by one for each answer in time while at least half of it is used, and shrinks by a tenth with each
request that was too slow or failed. So it follows what the server can do, which changes with what stands behind it. An
additive increase with a multiplicative decrease leads several users of one service to equal shares (Chiu and Jain).

Source: Netflix, concurrency-limits, `AIMDLimit` (ratio 0.9, initial limit 20, at most 200); Chiu and Jain, "Analysis of
the increase and decrease algorithms for congestion avoidance in computer networks", Computer Networks and ISDN Systems
17, 1989.
"""

from __future__ import annotations

from typing import Any

from detrun_scenarios.web_server.settings import Settings

MOST = 200.0
RATIO = 0.9


class ConcurrencyLimit:
    """See the module.

    Args:
        settings: `limit_initial`, `limit_least` and `slow_seconds`.

    Attributes:
        limit: now.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.limit = settings.limit_initial

    def learn(self, seconds: Any, succeeded: bool, inside: int) -> None:
        """A request has ended after so many seconds, with so many inside, itself included."""
        if not succeeded or seconds > self.settings.slow_seconds:
            self.limit = max(self.limit * RATIO, self.settings.limit_least)
        elif 2 * inside >= self.limit:
            self.limit = min(self.limit + 1.0, MOST)
