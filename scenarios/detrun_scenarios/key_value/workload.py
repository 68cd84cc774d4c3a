"""The store on its machines under load: who asks for how much, and what breaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import trio

import detrun
from detrun.world import Exponential, FaultPlan, Node, Partition, Swarm, inject
from detrun_scenarios.frame.declaration import Faults, Program, Setting, Size
from detrun_scenarios.key_value.bugs import BUGS
from detrun_scenarios.key_value.client import Client
from detrun_scenarios.key_value.history import History
from detrun_scenarios.key_value.losses import losses_of
from detrun_scenarios.key_value.replica import QUORUM, REPLICAS, Replica

LOSS_PROBABILITY = 0.005  # of a message
DOWN_SECONDS = 0.5  # from a crash of the primary to its restart
SWARM = Swarm(
    nodes=tuple(f"replica{index}" for index in range(REPLICAS)),
    seconds=1.2,
    faults=4,
    down_max=1,
    mean_seconds=0.4,  # longer than a replica's patience, so that another is elected meanwhile
    weights=dict.fromkeys(("disk_error", "disk_damage", "clock", "buggify", "reset", "bandwidth"), 0.0),
)
CUT_PRIMARIES = FaultPlan(
    tuple(
        Partition(
            groups=(("@primary",), ("replica*",)),
            between=(at, at + 0.1),
            lasts_seconds=0.35,
            allow_no_effect=True,
        )
        for at in (0.2, 0.65, 1.1)
    )
)
"""Primaries are cut off from the other replicas, and from no client, for longer than an election takes."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The load of one run, and when the primary of that moment crashes."""

    clients: int
    operations: int  # of each client
    crashes: tuple[float, ...] = ()


WORKLOADS: Mapping[Size, Workload] = {
    "small": Workload(clients=3, operations=25),
    "medium": Workload(clients=4, operations=40, crashes=(0.4, 1.0)),
    "large": Workload(clients=16, operations=850, crashes=(2.0, 4.0)),
}


@dataclass(frozen=True, slots=True)
class Parts:
    """What the store is made of."""

    replica: type[Replica] = Replica
    client: type[Client] = Client


async def run_store(
    params: Mapping[str, Any],
    workload: Workload = WORKLOADS["large"],
    history: History | None = None,
    parts: Parts = Parts(),
    faults: Faults = FaultPlan(),  # noqa: B008 (frozen)
) -> History:
    """Run the store under load; the history of its clients, which is linearizable.

    Args:
        params: ``link_latency``, mean seconds of a message, half of it fixed; ``retry_timeout``, seconds until a client
            asks again; ``patience``, seconds until a replica that hears nothing stands for election.
        history: filled in, for a caller who wants to know more of a run that fails.
    """
    history = History() if history is None else history
    half = 0.5 * params["link_latency"]
    replicas = [parts.replica(index, params["patience"], history) for index in range(REPLICAS)]
    keys = [f"key{index}" for index in range(workload.clients)]
    async with detrun.World(latency=Exponential(half, half), loss=LOSS_PROBABILITY) as world:
        for replica in replicas:
            world.node(replica.name).start(replica.live)
        for index, key in enumerate(keys):
            client = parts.client(index, params["retry_timeout"], history)
            world.node(client.name).start(client.work, key, keys, workload.operations)
        declare_primary(world, replicas)
        async with inject(faults, world), trio.open_nursery() as nursery:
            nursery.start_soon(crash_primary, replicas, workload.crashes, history)
            for index in range(workload.clients):
                await world.node(f"client{index}").ended()
            nursery.cancel_scope.cancel()
    disks = [{key: entry.value for key, entry in replica.entries.items()} for replica in replicas]
    for majority in combinations(disks, QUORUM):
        history.check_disks(majority)
    return history


def declare_primary(world: detrun.World, replicas: list[Replica]) -> None:
    """Say which replica a fault on the role ``primary`` strikes: that of the latest epoch in which there is one."""

    def is_primary(node: Node) -> bool:
        primaries = (replica for replica in replicas if replica.primary)
        latest = max(primaries, key=lambda one: one.promised, default=None)
        return latest is not None and latest.name == node.name

    world.role("primary", is_primary)


async def crash_primary(replicas: list[Replica], moments: tuple[float, ...], history: History) -> None:
    """At each of the moments, crash the machine of the replica that is primary then, if there is one."""
    async with trio.open_nursery() as nursery:
        for moment in moments:
            await trio.sleep_until(moment)
            for replica in replicas:
                if replica.primary:
                    history.crashes.append((trio.current_time(), replica.name))
                    nursery.start_soon(crash, replica)


async def crash(replica: Replica) -> None:
    """The machine is down for a while."""
    replica.node.crash()
    replica.primary = False
    await trio.sleep(DOWN_SECONDS)
    replica.node.restart()


def program(setting: Setting) -> Program:
    """The store for a setting."""
    parts = Parts() if setting.bug is None else Parts(replica=BUGS[setting.bug])
    faults = FaultPlan() if setting.faults is None else setting.faults

    async def main(params: Mapping[str, Any]) -> Mapping[str, Any]:
        return losses_of(await run_store(params, WORKLOADS[setting.size], parts=parts, faults=faults))

    return main
