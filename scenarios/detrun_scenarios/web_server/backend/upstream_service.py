"""`UpstreamService`: a small HTTP service of somebody else, slow and failing at times: ``GET /quote/SYMBOL``.

It parses with h11, and serves a bounded number of requests at once, the others in the order of coming, without a bound
on their number. It does not look whether a client is still there: what was given up is served, too. A service like this
one turns an outage into a lasting overload when its clients repeat what they have given up (Bronson et al., "Metastable
failures in distributed systems", HotOS 2021).
"""

from __future__ import annotations

from typing import Any

import h11
import trio

import detrun
from detrun.checkers.transactions import Place, noted_place
from detrun_scenarios.web_server.addresses import UPSTREAM_PORT
from detrun_scenarios.web_server.backend.service_time import service_time
from detrun_scenarios.web_server.resilience.seats import Seats
from detrun_scenarios.web_server.settings import Settings


class UpstreamService:
    """See the module.

    Args:
        settings: `upstream_workers` and `upstream_seconds`.

    Attributes:
        slowness: factor of service times, which an outage moves.
        failure_share: of requests that are answered by 503, once they are served.
        silent_share: of requests that are never answered, as if one of the replicas behind the address had died and
            the balancer had not seen it yet. They take no worker, and end when the client closes.
        served: requests that it has begun to serve.
        workers: those who serve.
        taken_in: where the last request was taken on.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.slowness: Any = 1.0
        self.failure_share: Any = 0.0
        self.silent_share: Any = 0.0
        self.served = 0
        self.workers = Seats(settings.upstream_workers)
        self.taken_in: Place | None = None

    async def serve(self) -> None:
        """Listen until cancelled."""
        self.workers = Seats(self.settings.upstream_workers)
        await trio.serve_tcp(self._talk, UPSTREAM_PORT)

    async def _talk(self, stream: trio.SocketStream) -> None:
        protocol = h11.Connection(h11.SERVER)
        try:
            while (request := await _next_request(protocol, stream)) is not None:
                symbol = request.target.rpartition(b"/")[2].decode()
                if self._is_silent(symbol):
                    await _next_request(protocol, stream)
                    return
                status, body = await self._quote(symbol)
                await stream.send_all(_response(protocol, status, body))
                if protocol.our_state is not h11.DONE or protocol.their_state is not h11.DONE:
                    return
                protocol.start_next_cycle()
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            pass  # the client has gone, perhaps within a request

    def _is_silent(self, symbol: str) -> bool:
        return bool(self.silent_share) and bool(detrun.bernoulli(self.silent_share, key=("silent", symbol)))

    async def _quote(self, symbol: str) -> tuple[int, bytes]:
        self.taken_in = noted_place(is_done_here=True)
        async with self.workers.seat():
            self.served += 1
            await detrun.sleep(self.slowness * service_time(self.settings.upstream_seconds, ("quote", symbol)))
        if detrun.bernoulli(self.failure_share, key=("quote fails", symbol)):
            return 503, b"not now"
        return 200, f"{symbol} costs {sum(symbol.encode())}".encode()


async def _next_request(protocol: h11.Connection, stream: trio.SocketStream) -> h11.Request | None:
    """The next request, read to its end; None when the client has closed."""
    request: h11.Request | None = None
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            protocol.receive_data(await stream.receive_some())
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.EndOfMessage):
            return request
        elif isinstance(event, h11.ConnectionClosed):
            return None


def _response(protocol: h11.Connection, status: int, body: bytes) -> bytes:
    head = h11.Response(status_code=status, headers=[("content-length", str(len(body)))])
    events = (head, h11.Data(data=body), h11.EndOfMessage())
    return b"".join(protocol.send(event) or b"" for event in events)
