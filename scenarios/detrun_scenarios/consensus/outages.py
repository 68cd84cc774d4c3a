"""Crashes of leaders, and how long the cluster takes to have another one that can commit."""

from __future__ import annotations

from typing import Any

import trio

import detrun
from detrun_scenarios.consensus.cluster import Cluster

DOWN_SECONDS = 0.5


async def crash_leaders(cluster: Cluster, crashes: int, quiet_seconds: Any) -> list[Any]:
    """Crash whichever server leads, so many times.

    Args:
        quiet_seconds: mean time between the end of one outage and the next crash; as long again passes besides, so
            that the cluster is whole.

    Returns:
        Of each crash, the seconds until a new leader committed the first entry of its term.
    """
    outages = []
    for _ in range(crashes):
        await trio.sleep(quiet_seconds + detrun.exponential(quiet_seconds))
        leader = cluster.leader()
        while leader is None:
            await cluster.invariants.leader_is_ready.wait()
            leader = cluster.leader()
        began = trio.current_time()
        node = cluster.world.node(leader.name)
        node.crash()
        await cluster.invariants.leader_is_ready.wait()
        outages.append(trio.current_time() - began)
        await trio.sleep(DOWN_SECONDS)
        node.restart()
    return outages
