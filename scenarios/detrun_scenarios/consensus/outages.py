"""Crashes of leaders: how long the cluster takes to have another one, and leaders that fall as soon as they rise."""

from __future__ import annotations

from typing import Any

import trio

import detrun
from detrun_scenarios.consensus.cluster import Cluster

DOWN_SECONDS = 0.5


async def crash_leaders(cluster: Cluster, crashes: int, quiet_seconds: Any, *, ends_there: bool = False) -> list[Any]:
    """Crash whichever server leads, so many times.

    Args:
        ends_there: whether the last one to crash need not come back: nothing is asked of the cluster afterwards.
        quiet_seconds: mean time between the end of one outage and the next crash; as long again passes besides, so
            that the cluster is whole.

    Returns:
        Of each crash, the seconds until a new leader committed the first entry of its term.
    """
    outages: list[Any] = []
    while len(outages) < crashes:
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
        if ends_there and len(outages) == crashes:
            break
        await trio.sleep(DOWN_SECONDS)
        node.restart()
    return outages


async def reap_leaders(cluster: Cluster, crashes: int, mean_seconds: Any, down_seconds: Any) -> None:
    """Let every other new leader lose its power soon after its election, so many times in all.

    This is what figure 3.7 is about: leaders that have written entries and not yet replicated them.

    Args:
        mean_seconds: from the election to the crash.
        down_seconds: mean time until the machine starts again.
    """
    for _ in range(crashes):
        await cluster.invariants.leader_is_elected.wait()
        leader = cluster.leader()
        if leader is None or detrun.bernoulli(0.5):
            continue
        await trio.sleep(detrun.exponential(mean_seconds))
        node = cluster.world.node(leader.name)
        if node.is_running:
            node.power_loss()
            await trio.sleep(detrun.exponential(down_seconds))
            if not node.is_running:
                node.restart()
