"""`Server`: answers requests, all at once, each in chunks whose pace follows from its weight among the others.

A chunk takes its share of the bandwidth: that of its weight among the answers that are on their way when it begins. So
the time of an answer is smooth in the weights, as long as the same answers are on their way.

Source: weights of RFC 7540, 5.3, and generalized processor sharing (Parekh and Gallager, IEEE/ACM Transactions on
Networking 1, 1993), by chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

import detrun
from detrun_scenarios.browser.invariants import Monitor
from detrun_scenarios.browser.network.frames import Reader, Request, chunk_bytes

SERVER, BROWSER, PORT = "server", "browser", 443
CHUNK_BYTES = 1_400
THINK_SECONDS = 0.01  # mean until an answer begins


class Server:
    """See the module.

    Args:
        site: bodies by address.
        bandwidth: bytes a second, of all answers together.
    """

    def __init__(self, site: Mapping[str, bytes], bandwidth: Any, monitor: Monitor) -> None:
        self._site = site
        self._bandwidth = bandwidth
        self._monitor = monitor
        self._weights: dict[int, Any] = {}

    async def serve(self) -> None:
        """Listen for ever."""
        await trio.serve_tcp(self._converse, PORT)

    async def _converse(self, stream: trio.SocketStream) -> None:
        reader, lock = Reader(stream), trio.Lock()
        async with trio.open_nursery() as nursery:
            while (request := await reader.request()) is not None:
                nursery.start_soon(self._answer, stream, lock, request)

    async def _answer(self, stream: trio.SocketStream, lock: trio.Lock, request: Request) -> None:
        self._monitor.server_is_asked(request.address)
        await trio.sleep(detrun.exponential(THINK_SECONDS, key=f"think {request.address}"))
        body = self._site[request.address]
        self._weights[request.stream] = request.weight
        for at in range(0, len(body), CHUNK_BYTES):
            data = body[at : at + CHUNK_BYTES]
            share = request.weight / detrun.sum(self._weights.values())
            await trio.sleep(len(data) / (self._bandwidth * share))
            is_last = at + CHUNK_BYTES >= len(body)
            async with lock:
                await stream.send_all(chunk_bytes(request.stream, data, is_last))
        del self._weights[request.stream]
