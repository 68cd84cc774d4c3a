"""An operator who moves leadership and servers around while clients work."""

from __future__ import annotations

from typing import Any

import trio

import detrun
from detrun_scenarios.consensus.cluster import Cluster
from detrun_scenarios.consensus.requests import ChangeMembers, TransferLeadership


async def replace_members(cluster: Cluster, members: tuple[str, ...]) -> None:
    """Ask leader after leader for these voters until the one that leads has committed them."""
    while True:
        await trio.sleep(0.05)
        leader = cluster.leader()
        if leader is None:
            continue
        at, now = leader.raft.configurations[-1]
        if set(now.voters) == set(members) and not now.is_joint and at <= leader.raft.commit_index:
            return
        cluster.world.driver.send(leader.name, ChangeMembers(members))


async def operate(cluster: Cluster, mean_seconds: Any, actions: int) -> None:
    """From time to time hand leadership over, or put a spare server in the place of another one.

    Wishes go to the server that leads, and may be lost or refused: the operator does not insist.
    """
    layout = cluster.layout
    spares = len(layout.all_names) - len(layout.names)
    for _ in range(actions):
        await trio.sleep(detrun.exponential(mean_seconds))
        leader = cluster.leader()
        if leader is None:
            continue
        if spares and detrun.bernoulli(0.5):
            left_out = detrun.choice(layout.all_names)
            voters = tuple(name for name in layout.all_names if name != left_out)
            cluster.world.driver.send(leader.name, ChangeMembers(voters[: len(layout.names)]))
        else:
            cluster.world.driver.send(leader.name, TransferLeadership(detrun.choice(layout.all_names)))
