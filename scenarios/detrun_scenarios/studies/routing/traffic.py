"""Who sends: streams of packets at random times, and flows of TCP whose windows grow and shrink.

A flow keeps as many packets under way as its window says. An acknowledgement adds ``increase / window``, so that the
window grows by ``increase`` in a round trip; a loss multiplies it by ``decrease``, once in a round trip (additive
increase, multiplicative decrease: Chiu and Jain 1989; RFC 5681 has 1 and 1/2). Acknowledgements and the news of a loss
come back after a constant time. A flow begins in congestion avoidance and has always more to send; slow start and
time-outs are left out.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import trio

import detrun
from detrun_scenarios.frame.news import News
from detrun_scenarios.studies.routing.fabric import Fabric
from detrun_scenarios.studies.routing.links import Packet
from detrun_scenarios.studies.routing.network import Stream

BACK_SECONDS = 0.05  # from a delivery, or a loss, until the sender knows
FIRST_WINDOW = 2.0


@dataclass(slots=True)
class PoissonStream:
    """Packets at random times.

    Attributes:
        count: packets in all.
        delays: seconds in the network, of each packet that has been delivered; by its number.
        news: told when one is delivered.
    """

    stream: Stream
    count: int
    fabric: Fabric
    news: News
    delays: dict[int, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the stream."""
        return f"{self.stream.source} to {self.stream.destination}"

    async def run(self) -> None:
        """Send all packets."""
        for number in range(self.count):
            await detrun.sleep(detrun.exponential(1.0 / self.stream.rate))
            self.fabric.enter(Packet(self, number, self.stream.destination, None), self.stream.source)

    def delivered(self, packet: Packet) -> None:
        """See `Sender`."""
        self.delays[packet.number] = trio.current_time() - packet.entered
        if len(self.delays) == self.count:
            self.news.tell()

    def lost(self, packet: Packet) -> None:
        """See `Sender`; links of open traffic have room for all."""
        raise AssertionError(f"packet {packet.number} of {self.name} was dropped by a link without a bound")


class Flow:
    """One connection.

    Args:
        increase: packets by which the window grows in a round trip.
        decrease: what a loss leaves of the window.
    """

    def __init__(self, stream: Stream, number: int, fabric: Fabric, increase: Any, decrease: Any) -> None:
        self.name = f"flow {number} from {stream.source} to {stream.destination}"
        self.stream = stream
        self.fabric = fabric
        self.increase, self.decrease = increase, decrease
        self.window: Any = FIRST_WINDOW
        self.under_way = 0
        self.number = 0  # of the next packet
        self.recovered = 0  # losses of packets before this one have been answered
        self.delays: list[Any] = []
        self.losses = 0
        self._back: deque[tuple[Any, Packet, bool]] = deque()
        self._news = News()

    async def run(self) -> None:
        """Send, and hear what became of each packet."""
        self.fill()
        while True:
            while not self._back:
                await self._news.wait()
            due, packet, arrived = self._back.popleft()
            await detrun.sleep(detrun.maximum(due - trio.current_time(), 0.0))
            self.under_way -= 1
            if arrived:
                self.window = self.window + self.increase / self.window
            elif packet.number >= self.recovered:
                self.window = detrun.maximum(self.window * self.decrease, 1.0)
                self.recovered = self.number
            self.fill()

    def fill(self) -> None:
        """Send as much as the window has room for."""
        while self.under_way + 1 <= self.window:
            packet = Packet(self, self.number, self.stream.destination, None)
            self.number += 1
            self.under_way += 1
            self.fabric.enter(packet, self.stream.source)

    def delivered(self, packet: Packet) -> None:
        """See `Sender`."""
        self.delays.append(trio.current_time() - packet.entered)
        self._hear(packet, True)

    def lost(self, packet: Packet) -> None:
        """See `Sender`."""
        self.losses += 1
        self._hear(packet, False)

    def _hear(self, packet: Packet, arrived: bool) -> None:
        self._back.append((trio.current_time() + BACK_SECONDS, packet, arrived))
        if len(self._back) == 1:
            self._news.tell()
