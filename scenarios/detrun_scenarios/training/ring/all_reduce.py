"""`AllReduce`: the sum of a tensor over the members of a ring, by messages between neighbours.

The tensor is cut into as many parts as there are members. In the first half of the steps each member sends a part to
its successor, which adds its own: after them each part is complete at one member. In the second half complete parts go
round. A member sends 2 (n - 1) / n of the tensor, whatever n is. Each part is added up in one order and then
copied, so that all members have the same sum to the last bit.

A chunk that does not come is asked for again; senders keep those of this round and the one before.

Source: Patarasuk and Yuan (2009), bandwidth optimal all-reduce algorithms, and its use in Horovod.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from detrun.world.nodes.node import Node
from detrun_scenarios.frame.news import News
from detrun_scenarios.training.losses import Meter
from detrun_scenarios.training.messages import Again, Chunk, View
from detrun_scenarios.training.model.tensors import torch

AGAIN_SECONDS = 0.03

Key = tuple[int, int, int]  # generation, round, step


class AllReduce:
    """Of one member."""

    def __init__(self, node: Node, meter: Meter) -> None:
        self._node, self._meter = node, meter
        self._come: dict[Key, Any] = {}
        self._sent: dict[Key, Chunk] = {}
        self._news = News()

    def take(self, chunk: Chunk) -> None:
        """A chunk has come."""
        self._come[(chunk.generation, chunk.round, chunk.step)] = chunk.numbers
        self._news.tell()

    def repeat(self, again: Again, successor: str) -> None:
        """A chunk has not come there."""
        chunk = self._sent.get((again.generation, again.round, again.step))
        if chunk is not None:
            self._send(successor, chunk)

    async def total(self, view: View, number: int, numbers: Any, is_over: Callable[[], bool]) -> Any:
        """The sum over all members in one round; None if the view is over before.

        Args:
            number: of the round.
            numbers: what this member has, of one axis.
        """
        self._forget(view.generation, number)
        count, rank = len(view.members), view.members.index(self._node.name)
        before, behind = view.members[rank - 1], view.members[(rank + 1) % count]
        parts = list(numbers.tensor_split(count))
        for step in range(2 * (count - 1)):
            is_adding = step < count - 1
            outgoing = (rank - step + (0 if is_adding else count)) % count
            incoming = (outgoing - 1) % count
            key = (view.generation, number, step)
            self._sent[key] = Chunk(*key, parts[outgoing])
            self._send(behind, self._sent[key])
            found = await self._receive(key, before, is_over)
            if found is None:
                return None
            parts[incoming] = found + parts[incoming] if is_adding else found
        return torch().cat(parts)

    async def _receive(self, key: Key, sender: str, is_over: Callable[[], bool]) -> Any:
        while key not in self._come:
            if is_over():
                return None
            with trio.move_on_after(AGAIN_SECONDS) as patience:
                await self._news.wait()
            if patience.cancelled_caught:
                self._node.send(sender, Again(*key))
        return self._come.pop(key)

    def _send(self, to: str, chunk: Chunk) -> None:
        size = 8 * len(chunk.numbers)
        self._meter.bytes_are_sent(size)
        self._node.send(to, chunk, size=64 + size)

    def _forget(self, generation: int, number: int) -> None:
        """What is of another generation, or of a round before the last."""
        for kept in (self._sent, self._come):
            for key in list(kept):
                if key[0] < generation or (key[0] == generation and key[1] < number - 1):
                    del kept[key]
