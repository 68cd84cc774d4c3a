"""`Connection`: the browser's end, on which any number of transfers are under way at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import trio

from detrun_scenarios.browser.network.frames import Reader, Request, request_bytes
from detrun_scenarios.browser.network.server import PORT, SERVER


@dataclass(slots=True, eq=False)
class Transfer:
    """One resource on its way.

    Attributes:
        began, ended: in virtual seconds.
    """

    address: str
    kind: str
    began: Any
    ended: Any = None
    body: bytearray = field(default_factory=bytearray)
    is_done: trio.Event = field(default_factory=trio.Event)


class Connection:
    """See the module.

    Attributes:
        transfers: all there have been, in the order in which they began.
    """

    def __init__(self) -> None:
        self.transfers: list[Transfer] = []
        self._by_stream: dict[int, Transfer] = {}
        self._is_open = trio.Event()
        self._lock = trio.Lock()
        self._stream: trio.SocketStream | None = None

    async def run(self) -> None:
        """Connect, and take what comes, for ever."""
        self._stream = await trio.open_tcp_stream(SERVER, PORT)
        self._is_open.set()
        reader = Reader(self._stream)
        while (chunk := await reader.chunk()) is not None:
            number, data, is_last = chunk
            transfer = self._by_stream[number]
            transfer.body += data
            if is_last:
                transfer.ended = trio.current_time()
                transfer.is_done.set()
                del self._by_stream[number]

    async def fetch(self, address: str, kind: str, weight: Any) -> bytes:
        """The body of a resource."""
        transfer = Transfer(address, kind, trio.current_time())
        self.transfers.append(transfer)
        number = len(self.transfers)
        self._by_stream[number] = transfer
        await self._is_open.wait()
        assert self._stream is not None
        async with self._lock:
            await self._stream.send_all(request_bytes(Request(number, address, weight)))
        await transfer.is_done.wait()
        return bytes(transfer.body)
