"""Links: a queue and a transmitter each, and the packets that pass through.

A link takes an exponential time for each packet, first come, first served. By Kleinrock's independence assumption the
time is drawn anew at each link, from the link's own sequence, so that other routes leave the sequence as it is. A link
with a buffer drops what comes while it is full (tail drop).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import detrun
from detrun_scenarios.frame.news import News

IN_ORDER = "a link sends in the order of arrival"


class Sender(Protocol):
    """Has packets in the network."""

    @property
    def name(self) -> str:
        """By which its packets are told from those of others."""

    def delivered(self, packet: Packet) -> None:
        """A packet is at its destination."""

    def lost(self, packet: Packet) -> None:
        """A packet was dropped."""


@dataclass(slots=True)
class Packet:
    """One packet.

    Attributes:
        sender: who wants to know what became of it.
        number: of this packet, within its sender.
        entered: the network, in virtual seconds.
        passed: routers, in their order.
        ticket: its place among all that came to the link where it is.
    """

    sender: Sender
    number: int
    destination: str
    entered: Any
    passed: list[str] = field(default_factory=list)
    ticket: int = 0


class Link:
    """From one router to the next.

    Args:
        seconds: mean time of a packet.
        buffer: packets that may be here, the one being sent included; None for any number.
        arrive: called with a packet that came through, and where.
        refuse: called with a packet for which there was no room.
    """

    def __init__(
        self,
        ends: tuple[str, str],
        seconds: Any,
        buffer: int | None,
        arrive: Callable[[Packet, str], None],
        refuse: Callable[[Packet], None],
    ) -> None:
        self.ends = ends
        self.seconds = seconds
        self.buffer = buffer
        self.arrive = arrive
        self.refuse = refuse
        self.queue: deque[Packet] = deque()
        self.came = 0  # packets that were let in
        self.went = 0
        self._news = News()

    def put(self, packet: Packet) -> None:
        """Take a packet, or refuse it."""
        if self.buffer is not None and len(self.queue) >= self.buffer:
            self.refuse(packet)
            return
        packet.ticket = self.came
        self.came += 1
        self.queue.append(packet)
        if len(self.queue) == 1:
            self._news.tell()

    async def send(self) -> None:
        """The link's task: send what is in the queue, for ever."""
        while True:
            while not self.queue:
                await self._news.wait()
            await detrun.sleep(detrun.exponential(self.seconds))
            packet = self.queue.popleft()
            self.check_order(packet)
            self.went += 1
            self.arrive(packet, self.ends[1])

    def check_order(self, packet: Packet) -> None:
        """First come, first served."""
        detrun.always(packet.ticket == self.went, IN_ORDER)
