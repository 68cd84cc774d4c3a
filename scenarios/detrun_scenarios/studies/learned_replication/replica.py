"""A replica: keeps the latest version of each key on its disk, and takes a while for each message.

The time is exponential and its own for each message, so that a quorum of k among n waits for the k-th of n such times.
A replica is slow for a while now and then. Its disk outlives a crash; what was under way does not.
"""

from __future__ import annotations

from typing import Any

import trio

import detrun
from detrun_scenarios.studies.learned_replication.messages import Read, Stored, Version, Write

COORDINATOR = "coordinator"
SLOW_FACTOR = 10.0
SLOW_SECONDS, SOUND_SECONDS = 0.2, 1.8  # mean times


class Replica:
    """One of them.

    Args:
        seconds: mean time for a message.
        falters: whether it is slow at times.
    """

    def __init__(self, index: int, seconds: Any, falters: bool) -> None:
        self.index = index
        self.name = f"replica{index}"
        self.seconds = seconds
        self.falters = falters
        self.disk: dict[str, int] = {}
        self.factor = 1.0

    async def run(self) -> None:
        """The program of the replica's machine, from a start to the next crash."""
        self._node = detrun.this_node()
        self.factor = 1.0
        async with trio.open_nursery() as nursery:
            if self.falters:
                nursery.start_soon(self.falter)
            while True:
                nursery.start_soon(self.handle, await self._node.receive((Write, Read)))

    async def falter(self) -> None:
        """Be slow now and then."""
        while True:
            await trio.sleep(detrun.exponential(SOUND_SECONDS))
            self.factor = SLOW_FACTOR
            await trio.sleep(detrun.exponential(SLOW_SECONDS))
            self.factor = 1.0

    async def handle(self, message: Write | Read) -> None:
        """One message."""
        what = message.batch if isinstance(message, Write) else message.number
        took = detrun.exponential(self.seconds * self.factor, key=(self.name, type(message).__name__, what))
        await detrun.sleep(took)
        if isinstance(message, Read):
            self._node.send(COORDINATOR, Version(message.number, self.index, self.disk.get(message.key, 0)))
        else:
            self.store(message)

    def store(self, message: Write) -> None:
        """Keep what is newer than what is here, and say so."""
        for key, version in message.values:
            self.disk[key] = max(version, self.disk.get(key, 0))
        self._node.send(COORDINATOR, Stored(message.batch, self.index))
