"""The coordinator: writes and reads by quorums, with a fan-out that is smaller than all replicas, and batches.

A write goes to all replicas and is acknowledged when a quorum has it. A read asks as many replicas as its fan-out says,
and the others after a delay, if not enough have answered by then; it returns the latest version of a quorum. Writes of
a short time are sent together. After a while without a quorum, those that have not answered are asked again. After
Dynamo (DeCandia et al., SOSP 2007); a second attempt after a delay is that of Dean and Barroso, "The tail at
scale", 2013.

Quorums and fan-outs are whole numbers. One of 2.3 is 2 or 3 by a draw, for each operation, so that means are smooth
in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import trio

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.frame.requirement import require
from detrun_scenarios.studies.learned_replication.messages import Read, Stored, Version, Write

REPLICAS = 5
RETRY_SECONDS = 0.1
NO_LOST_WRITE = "quorums that overlap see the latest acknowledged write"
ON_DISKS = "an acknowledged write is on as many disks as its quorum says"


def drawn(number: Any, most: int, key: object) -> int:
    """A whole number beside a real one, whose mean it is."""
    least = min(math.floor(plain(number)), most)
    if least == most:
        return most
    return least + int(detrun.bernoulli(number - least, key=key))


@dataclass(slots=True)
class Pending:
    """An operation that waits for its quorum.

    Attributes:
        heard: replicas that have answered, with the version that each had.
    """

    quorum: int
    heard: dict[int, int] = field(default_factory=dict)
    enough: trio.Event = field(default_factory=trio.Event)

    def hear(self, replica: int, version: int) -> None:
        """An answer came."""
        self.heard[replica] = version
        if len(self.heard) == self.quorum:
            self.enough.set()


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The latest acknowledged version of a key, and the quorum that has it."""

    version: int = 0
    quorum: int = REPLICAS


class Coordinator:
    """See the module.

    Args:
        params: ``write_quorum``, ``read_quorum``, ``fan_out`` in replicas, ``hedge_delay`` and ``batch_delay`` in
            seconds.
        disks: of the replicas, for the check of what is acknowledged.
    """

    def __init__(self, params: Mapping[str, Any], disks: list[dict[str, int]]) -> None:
        self.params = params
        self.disks = disks
        self.versions: dict[str, int] = {}
        self.acknowledged: dict[str, Acknowledged] = {}
        self.messages = 0
        self._pending: dict[tuple[str, int], Pending] = {}
        self._batch: list[tuple[str, int]] = []
        self._batches = 0
        self._reads = 0
        self._flushed = trio.Event()

    async def hear(self) -> None:
        """Answers, for ever."""
        self._node = detrun.this_node()
        while True:
            answer = await self._node.receive((Stored, Version))
            self.messages += 1
            if isinstance(answer, Stored):
                self._note(("write", answer.batch), answer.replica, 0)
            else:
                self._note(("read", answer.number), answer.replica, answer.version)

    async def write(self, key: str, nursery: trio.Nursery) -> None:
        """Return when the write is acknowledged."""
        version = self.versions[key] = self.versions.get(key, 0) + 1
        if not self._batch:
            nursery.start_soon(self._flush_later)
        self._batch.append((key, version))
        flushed = self._flushed
        number = self._batches
        await flushed.wait()
        pending = self._pending["write", number]
        await pending.enough.wait()
        self.acknowledge(key, version, pending.quorum)

    async def read(self, key: str) -> int:
        """The latest version that a quorum knows."""
        self._reads += 1
        number = self._reads
        before = self.acknowledged.get(key, Acknowledged())
        quorum = drawn(self.params["read_quorum"], REPLICAS, ("read quorum", number))
        fan_out = max(drawn(self.params["fan_out"], REPLICAS, ("fan-out", number)), quorum)
        pending = self._pending["read", number] = Pending(quorum)
        asked = [(number + offset) % REPLICAS for offset in range(REPLICAS)]  # in turn
        self._send(asked[:fan_out], Read(number, key))
        with trio.move_on_after(self.params["hedge_delay"]):
            await pending.enough.wait()
        if not pending.enough.is_set():
            self._send(asked[fan_out:], Read(number, key))
            await self._insist(pending, Read(number, key))
        found = max(pending.heard.values())
        self.check_read(key, found, quorum, before)
        return found

    def acknowledge(self, key: str, version: int, quorum: int) -> None:
        """A write has its quorum."""
        on = sum(disk.get(key, 0) >= version for disk in self.disks)
        require(on >= quorum, ON_DISKS, f"{key} = {version}: on {on} disks, its quorum is {quorum}")
        if version > self.acknowledged.get(key, Acknowledged()).version:
            self.acknowledged[key] = Acknowledged(version, quorum)

    def check_read(self, key: str, found: int, quorum: int, before: Acknowledged) -> None:
        """A read may be old only where its quorum and that of the write have no replica in common."""
        if quorum + before.quorum > REPLICAS:
            require(found >= before.version, NO_LOST_WRITE, f"{key}: {found} is older than {before.version}")

    async def _flush_later(self) -> None:
        await detrun.sleep(self.params["batch_delay"])
        self._batches, number = self._batches + 1, self._batches
        quorum = drawn(self.params["write_quorum"], REPLICAS, ("write quorum", number))
        pending = self._pending["write", number] = Pending(quorum)
        message, self._batch = Write(number, tuple(self._batch)), []
        self._send(range(REPLICAS), message)
        self._flushed.set()
        self._flushed = trio.Event()
        await self._insist(pending, message)

    async def _insist(self, pending: Pending, message: Write | Read) -> None:
        """Ask those again that have not answered, until there is a quorum."""
        while True:
            with trio.move_on_after(RETRY_SECONDS):
                await pending.enough.wait()
                return
            self._send([one for one in range(REPLICAS) if one not in pending.heard], message)

    def _send(self, replicas: Iterable[int], message: Write | Read) -> None:
        for replica in replicas:
            self.messages += 1
            self._node.send(f"replica{replica}", message)

    def _note(self, what: tuple[str, int], replica: int, version: int) -> None:
        pending = self._pending[what]
        if not pending.enough.is_set():
            pending.hear(replica, version)
