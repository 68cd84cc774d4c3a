"""`Server`: answers requests, all at once, in chunks at the pace that their weight has among the others' (`Line`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

import detrun
from detrun_scenarios.browser.invariants import Monitor
from detrun_scenarios.browser.network.frames import Reader, Request, chunk_bytes
from detrun_scenarios.browser.network.line import Line

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
        self._line = Line(bandwidth)
        self._monitor = monitor

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
        self._line.join(request.stream, request.weight)
        for at in range(0, len(body), CHUNK_BYTES):
            data = body[at : at + CHUNK_BYTES]
            await self._line.send(request.stream, len(data))
            is_last = at + CHUNK_BYTES >= len(body)
            async with lock:
                await stream.send_all(chunk_bytes(request.stream, data, is_last))
        self._line.leave(request.stream)
