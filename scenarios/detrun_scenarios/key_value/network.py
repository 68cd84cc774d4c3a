"""Links between named nodes: memory channels that take their time and lose a message now and then.

Each ordered pair of nodes has a link of its own, a channel and the task that carries its messages. A link keeps the
order of its messages, as one TCP connection does, so a message is held up by a slow one before it. Half of a link's
latency is fixed and half is random. A message to a node that is down is lost.

Times are typed as floats and usually are. When detrun differentiates, they are `detrun.Value`s, which carry their
history through trio's clock; nothing here has to know.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from math import inf

import trio

import detrun

Seconds = float
LOSS_PROBABILITY = 0.005


class Network:
    """All links, and the inbox of each node that is up.

    Args:
        link_latency: mean seconds that a message travels.
        pairs: (sender, receiver) names; every pair can talk both ways.
    """

    def __init__(self, link_latency: Seconds, pairs: Iterable[tuple[str, str]]) -> None:
        self.link_latency = link_latency
        self.inboxes: dict[str, trio.MemorySendChannel[object]] = {}
        self.entrances: dict[tuple[str, str], trio.MemorySendChannel[tuple[Seconds, object]]] = {}
        self.exits: dict[tuple[str, str], trio.MemoryReceiveChannel[tuple[Seconds, object]]] = {}
        for one, other in pairs:
            for way in ((one, other), (other, one)):
                self.entrances[way], self.exits[way] = trio.open_memory_channel[tuple[Seconds, object]](inf)

    async def run(self) -> None:
        """Carry messages on every link, until cancelled."""
        async with trio.open_nursery() as nursery:
            for sender, receiver in self.exits:
                nursery.start_soon(self.carry, sender, receiver, name=f"{sender}->{receiver}")

    def join(self, node: str) -> trio.MemoryReceiveChannel[object]:
        """The inbox of a node that starts, empty: what was sent to it while it was down is gone."""
        self.inboxes[node], inbox = trio.open_memory_channel[object](inf)
        return inbox

    async def send(self, sender: str, receiver: str, message: object) -> None:
        """Put a message on its way; says nothing about its arrival."""
        await self.entrances[sender, receiver].send((trio.current_time(), message))

    async def carry(self, sender: str, receiver: str) -> None:
        """Let each message through one link travel for its own time."""
        async with trio.open_nursery() as nursery:
            async for sent_at, message in self.exits[sender, receiver]:
                # Drawn here and not by the task that travels: this task's n-th draws are for its n-th message, so
                # a message has the same outcome whatever the rest of the network does. Comparable runs stay comparable.
                travels = 0.5 * self.link_latency + detrun.exponential(0.5 * self.link_latency)
                if not detrun.bernoulli(LOSS_PROBABILITY):
                    nursery.start_soon(self.deliver, sent_at + travels, receiver, message)

    async def deliver(self, arrives_at: Seconds, receiver: str, message: object) -> None:
        """Bring one message to its receiver's inbox."""
        await trio.sleep_until(arrives_at)
        # A node that has crashed has closed its inbox; one that never started has none.
        with suppress(trio.BrokenResourceError, KeyError):
            await self.inboxes[receiver].send(message)
