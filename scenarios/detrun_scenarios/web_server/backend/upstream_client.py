"""`UpstreamClient`: quotes of the upstream service by unmodified httpx, through retries, breaker, hedges and time-outs.

From outside in: retries repeat a call that failed. The breaker lets each of them pass or not, so that a retry meets an
open breaker as any call does, and ends there. Hedges make one call of one or two attempts. Each attempt has its time.
"""

from __future__ import annotations

import httpx
import trio

from detrun_scenarios.web_server.addresses import UPSTREAM, UPSTREAM_PORT
from detrun_scenarios.web_server.errors import BackendError, BackendTimeoutError
from detrun_scenarios.web_server.resilience.breaker import Breaker
from detrun_scenarios.web_server.resilience.hedges import Hedges
from detrun_scenarios.web_server.resilience.retries import Retries
from detrun_scenarios.web_server.settings import Settings


class UpstreamClient:
    """See the module.

    Attributes:
        attempts: HTTP requests sent to the upstream so far.
    """

    def __init__(self, settings: Settings, breaker: Breaker, retries: Retries, hedges: Hedges) -> None:
        self.settings = settings
        self.breaker = breaker
        self.retries = retries
        self.hedges = hedges
        self.attempts = 0
        # The time-outs of httpx are for each read; ours is for the attempt, as those of gRPC and Envoy are. Without TLS
        # there is nothing to verify, and certificates take longer to load than a small run.
        self._http = httpx.AsyncClient(
            base_url=f"http://{UPSTREAM}:{UPSTREAM_PORT}", timeout=None, trust_env=False, verify=False
        )

    async def quote(self, symbol: str) -> str:
        """The quote of a symbol.

        Raises:
            BreakerOpenError: refused without an attempt.
            BackendTimeoutError, BackendError: the last attempt failed.
        """

        async def attempt(number: int) -> str:
            return await self._attempt(symbol)

        async def guarded(number: int) -> str:
            with self.breaker.guard():
                return await self.hedges.call(attempt)

        return await self.retries.call(guarded)

    async def close(self) -> None:
        """Close idle connections."""
        await self._http.aclose()

    async def _attempt(self, symbol: str) -> str:
        self.attempts += 1
        with trio.move_on_after(self.settings.upstream_timeout):
            try:
                reply = await self._http.get(f"/quote/{symbol}")
            except httpx.HTTPError as error:
                raise BackendError(f"the upstream cannot be reached: {error}") from error
            if reply.status_code != 200:
                raise BackendError(f"the upstream answered {reply.status_code}")
            return reply.text
        raise BackendTimeoutError("no quote in time")
