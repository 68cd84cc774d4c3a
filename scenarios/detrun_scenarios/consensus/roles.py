"""Roles of servers that planned faults can strike: see `detrun.World.role`."""

from __future__ import annotations

from detrun.world.nodes.node import Node
from detrun_scenarios.consensus.cluster import Cluster
from detrun_scenarios.consensus.core.raft import Raft


def declare_roles(cluster: Cluster) -> None:
    """Say of which servers each role is true.

    - ``leader``: leads, in the latest term in which a server does.
    - ``voter``: has voted for another server, has promised that to its disk, and has not yet heard that it leads.
    """
    world = cluster.world

    def is_leader(node: Node) -> bool:
        leader = cluster.leader()
        return leader is not None and leader.name == node.name

    def is_voter(node: Node) -> bool:
        replica = cluster.replicas.get(node.name)
        raft: Raft | None = getattr(replica, "raft", None)  # there is none before it has recovered
        if replica is None or raft is None or replica.is_writing:
            return False
        return raft.vote not in (None, raft.name) and raft.leader is None

    world.role("leader", is_leader)
    world.role("voter", is_voter)
