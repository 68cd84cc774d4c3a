"""`RetryBudget`: how many retries a client may make, as a share of the requests that it makes.

Each request deposits a share of a token, and each retry withdraws a whole one. A deposit is kept for some seconds only,
so that a quiet hour does not pay for a storm. A small rate of tokens is there besides, so that a client with few
requests may retry, too. Whatever fails, the load on the server is at most ``1 + share`` times the requests, plus that
small rate: this keeps an outage from feeding itself.

Deposits are kept in slices of time, each the sum of what came in and what went out, so the memory is bounded.

Source: Finagle, `com.twitter.finagle.service.RetryBudget`: a share of 0.2, ten retries a second besides, deposits of
10 s, in a `WindowedAdder`; the throttling of retries of gRPC (proposal A6) has the same purpose.
"""

from __future__ import annotations

from typing import Any

import trio

from detrun.ad.value import primal_of
from detrun_scenarios.web_server.settings import Settings

KEPT_SECONDS = 10.0  # for which a deposit may be withdrawn
SLICES = 10  # of that time


class RetryBudget:
    """See the module.

    Args:
        settings: `retry_budget`, the share, and `retry_reserve`, retries a second.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._slices: list[Any] = [0.0] * SLICES
        self._newest = _slice_now()

    def deposit(self) -> None:
        """A request is made for the first time."""
        self._move_on()
        self._slices[-1] += self.settings.retry_budget

    def withdraw(self) -> bool:
        """Whether a retry may be made; takes its cost."""
        if self.balance() < 1.0:
            return False
        self._slices[-1] -= 1.0
        return True

    def balance(self) -> Any:
        """Retries that may be made now, with a fraction of one."""
        self._move_on()
        return self.settings.retry_reserve * KEPT_SECONDS + sum(self._slices)

    def _move_on(self) -> None:
        now = _slice_now()
        passed = min(now - self._newest, SLICES)
        if passed > 0:
            self._slices = [*self._slices[passed:], *([0.0] * passed)]
            self._newest = now


def _slice_now() -> int:
    return int(primal_of(trio.current_time()) * SLICES / KEPT_SECONDS)
