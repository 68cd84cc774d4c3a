"""`DatabaseServer`: items and orders behind a protocol of lines, with a bounded number of workers.

| question | answer |
|---|---|
| ``READ item`` | ``VALUE text``, or ``NONE`` |
| ``ORDER order item count`` | ``SOLD order number``: how many of the item are sold with it |

An order has a number of its own, and the same order again changes nothing, so that a client may repeat one of which it
does not know whether it was booked. A question is served when a worker is free, in the order of coming, and takes an
exponential time. It is served to its end also when the client has gone: this is what a database does that does not look
at the socket meanwhile, and why requests that were given up still load it.

The order is booked at the end of its service, in one piece; what was booked survives a crash of the node, as on a disk.
"""

from __future__ import annotations

import trio

import detrun
from detrun_scenarios.web_server.addresses import DATABASE_PORT
from detrun_scenarios.web_server.backend.lines import Lines
from detrun_scenarios.web_server.backend.service_time import service_time
from detrun_scenarios.web_server.resilience.seats import Seats
from detrun_scenarios.web_server.settings import Settings


class DatabaseServer:
    """See the module.

    Args:
        settings: `database_workers` and `database_seconds`.

    Attributes:
        rows: text by item.
        orders: item and count by order.
        sold: how many of each item.
        workers: those who serve; made anew at each start of the node.
        asked: questions that came.
        slowness: factor of service times, which an outage moves.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.rows: dict[str, str] = {}
        self.orders: dict[str, tuple[str, int]] = {}
        self.sold: dict[str, int] = {}
        self.workers = Seats(settings.database_workers)
        self.asked = 0
        self.slowness = 1.0

    async def serve(self) -> None:
        """Listen until cancelled."""
        self.workers = Seats(self.settings.database_workers)
        await trio.serve_tcp(self._talk, DATABASE_PORT)

    async def _talk(self, stream: trio.SocketStream) -> None:
        lines = Lines(stream)
        try:
            while (question := await lines.next()) is not None:
                answer = await self._answer(question)
                await stream.send_all(answer.encode() + b"\n")
        except trio.BrokenResourceError:
            pass  # the client has gone

    async def _answer(self, question: str) -> str:
        verb, item, *rest = question.split(" ")
        self.asked += 1
        async with self.workers.seat():
            await detrun.sleep(self.slowness * service_time(self.settings.database_seconds, ("database", verb, item)))
        if verb == "READ":
            return self._read(item)
        order, count = item, int(rest[1])
        return self._book(order, rest[0], count)

    def _read(self, item: str) -> str:
        text = self.rows.get(item)
        return "NONE" if text is None else f"VALUE {text}"

    def _book(self, order: str, item: str, count: int) -> str:
        if order not in self.orders:
            self.orders[order] = (item, count)
            self.sold[item] = self.sold.get(item, 0) + count
        return f"SOLD {order} {self.sold[item]}"
