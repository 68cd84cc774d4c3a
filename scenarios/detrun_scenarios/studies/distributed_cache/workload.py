"""How long a run is, and when a node leaves the ring and comes back with an empty memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import trio

import detrun
from detrun_scenarios.frame.declaration import Program, Setting, Size
from detrun_scenarios.frame.requirement import require
from detrun_scenarios.studies.distributed_cache.front import ANSWERED, Front
from detrun_scenarios.studies.distributed_cache.losses import losses_of
from detrun_scenarios.studies.distributed_cache.node import FRONT, CacheNode
from detrun_scenarios.studies.distributed_cache.ring import Ring
from detrun_scenarios.studies.distributed_cache.tenants import MEMORY, TENANTS

LINK_SECONDS = 0.0005


@dataclass(frozen=True, slots=True)
class Workload:
    """Of one run.

    Attributes:
        seconds: for which requests are sent.
        measured_from: seconds.
        away: from when to when the last node is out of the ring, in shares of the time; None: always there.
    """

    nodes: int
    seconds: float
    measured_from: float
    away: tuple[float, float] | None = None


WORKLOADS: Mapping[Size, Workload] = {
    "small": Workload(4, 1.0, 0.2, (0.3, 0.6)),
    "medium": Workload(4, 10.0, 5.0),
    "large": Workload(4, 230.0, 10.0, (0.5, 0.6)),
}


def rooms_of(params: Mapping[str, Any], nodes: int) -> dict[str, Any]:
    """Objects of each class at one node: the memory is divided by the weights."""
    weights = {one.name: params[f"{one.name}_weight"] for one in TENANTS}
    total = detrun.sum(weights.values())
    return {name: MEMORY / nodes * weight / total for name, weight in weights.items()}


async def run_cache(params: Mapping[str, Any], workload: Workload, node: type[CacheNode] = CacheNode) -> Front:
    """Requests until the time is over, and all of their answers."""
    rooms = rooms_of(params, workload.nodes)
    ttls = {one.name: params[f"{one.name}_ttl"] for one in TENANTS}
    nodes = [node(f"cache{number}", rooms, ttls) for number in range(workload.nodes)]
    front = Front(Ring(one.name for one in nodes), workload.seconds, workload.measured_from)
    async with detrun.World(latency=LINK_SECONDS) as world:
        for one in nodes:
            world.node(one.name).start(one.run)
        world.node(FRONT).start(front.run)
        if workload.away is not None:
            await away(front.ring, nodes[-1], workload)
        await trio.sleep_until(workload.seconds)
        with trio.move_on_after(10.0):  # of patience, many times the longest fetch
            while front.answered < front.asked:
                await front.news.wait()
        require(front.answered == front.asked, ANSWERED, f"{front.asked} asked, {front.answered} answered")
    return front


async def away(ring: Ring, node: CacheNode, workload: Workload) -> None:
    """A node is taken out of the ring for a while, and forgets what it had."""
    assert workload.away is not None
    gone, back = (share * workload.seconds for share in workload.away)
    await trio.sleep_until(gone)
    ring.remove(node.name)
    await trio.sleep_until(back)
    node.forget()
    ring.add(node.name)


def program(setting: Setting) -> Program:
    """The cache for a setting."""

    async def main(params: Mapping[str, Any]) -> Mapping[str, Any]:
        return losses_of(await run_cache(params, WORKLOADS[setting.size]))

    return main
