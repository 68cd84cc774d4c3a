"""Clients of a run, and what breaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import trio

import detrun
from detrun.world import FaultPlan, inject
from detrun_scenarios.frame.declaration import Faults, Program, Setting, Size
from detrun_scenarios.frame.measured import mean
from detrun_scenarios.studies.learned_replication.coordinator import REPLICAS, Acknowledged, Coordinator
from detrun_scenarios.studies.learned_replication.replica import COORDINATOR, Replica

LINK_SECONDS = 0.0005
KEYS = 4
STALE_PRICE, MESSAGE_PRICE = 0.05, 0.0005  # seconds that a stale read and a message are worth


@dataclass(frozen=True, slots=True)
class Workload:
    """Of one run.

    Attributes:
        rate: operations for each second; half of them write.
        slow: whether replicas are slow at times.
    """

    operations: int
    rate: float = 150.0
    slow: bool = True


WORKLOADS: Mapping[Size, Workload] = {
    "small": Workload(50),
    "medium": Workload(220),
    "large": Workload(4_800),
}


@dataclass(slots=True)
class Seen:
    """By the clients.

    Attributes:
        writes, reads: seconds of each.
        stale: reads that returned less than what was acknowledged when they began.
        shares: of the loss, that each write and each read is declared as a cost of (`detrun.cost`); 0: none. Then a
            draw answers for the operations that it affects, and not for the others.
    """

    writes: list[Any] = field(default_factory=list)
    reads: list[Any] = field(default_factory=list)
    stale: int = 0
    messages: int = 0
    shares: Mapping[bool, float] = field(default_factory=dict)

    def took(self, writes: bool, seconds: Any) -> None:
        """An operation has ended."""
        (self.writes if writes else self.reads).append(seconds)
        if share := self.shares.get(writes):
            # Replicas handle messages beside each other, so that operations meet in their batches alone, and a
            # batch wakes those who wait for it.
            detrun.cost(seconds * share, "operation", depends_on=())


async def run_store(
    params: Mapping[str, Any],
    workload: Workload,
    faults: Faults | None = None,
    parts: tuple[type[Replica], type[Coordinator]] = (Replica, Coordinator),
    cost_of: bool | None = None,
) -> Seen:
    """All operations, and what they saw.

    Args:
        cost_of: declare the mean latency of writes (True) or of reads (False) as costs.
    """
    made, coordinates = parts
    replicas = [made(index, params["replica_seconds"], workload.slow) for index in range(REPLICAS)]
    coordinator, seen = coordinates(params, [one.disk for one in replicas]), Seen()
    async with detrun.World(latency=LINK_SECONDS) as world, inject(faults or FaultPlan(), world):
        for one in replicas:
            world.node(one.name).start(one.run)
        node = world.node(COORDINATOR)
        node.start(partial(serve, coordinator, workload, seen, cost_of))
        await node.ended()
    seen.messages = coordinator.messages
    return seen


async def serve(coordinator: Coordinator, workload: Workload, seen: Seen, cost_of: bool | None = None) -> None:
    """The program of the coordinator's machine, which has the clients on it."""
    kinds = [detrun.bernoulli(0.5) for _ in range(workload.operations)]
    if cost_of is not None:
        seen.shares = {cost_of: 1.0 / max(kinds.count(cost_of), 1)}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(coordinator.hear)
        async with trio.open_nursery() as clients:
            for number, writes in enumerate(kinds):
                await trio.sleep(detrun.exponential(1.0 / workload.rate))
                key = f"key{detrun.choice(KEYS)}"
                clients.start_soon(operate, coordinator, seen, key, writes, clients, name=f"client {number}")
        nursery.cancel_scope.cancel()


async def operate(coordinator: Coordinator, seen: Seen, key: str, writes: bool, nursery: trio.Nursery) -> None:
    """One operation."""
    began = trio.current_time()
    if writes:
        await coordinator.write(key, nursery)
        seen.took(True, trio.current_time() - began)
        return
    latest = coordinator.acknowledged.get(key, Acknowledged()).version
    found = await coordinator.read(key)
    seen.took(False, trio.current_time() - began)
    seen.stale += found < latest


def losses_of(seen: Seen) -> Mapping[str, Any]:
    """Every loss by name."""
    operations = len(seen.writes) + len(seen.reads)
    latency = mean([*seen.writes, *seen.reads])
    stale = seen.stale / max(len(seen.reads), 1)
    messages = seen.messages / max(operations, 1)
    return {
        "write_latency": mean(seen.writes),
        "read_latency": mean(seen.reads),
        "staleness": stale,
        "messages": messages,
        "cost": latency + STALE_PRICE * stale + MESSAGE_PRICE * messages,
    }


def program(setting: Setting) -> Program:
    """The store for a setting."""

    async def main(params: Mapping[str, Any]) -> Mapping[str, Any]:
        cost_of = {"write_latency": True, "read_latency": False}.get(setting.loss or "")
        found = losses_of(await run_store(params, WORKLOADS[setting.size], setting.faults, cost_of=cost_of))
        return found if cost_of is None else dict.fromkeys(found, 0.0)  # the costs are the loss

    return main
