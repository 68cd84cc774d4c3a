"""A cluster with clients in a world: machines, disks, clocks, links, and what goes wrong.

Two followers of five are near, two are far, and every machine has a disk that takes its time to sync and forgets what
was not synced when its power goes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import detrun
from detrun.world import Exponential
from detrun.world.disk.disk import Disk, DiskLatency
from detrun.world.nodes.node import Node
from detrun.world.time.clocks import NodeClock
from detrun_scenarios.consensus.client import Client, Habits, Observed
from detrun_scenarios.consensus.core.entries import Configuration
from detrun_scenarios.consensus.core.server import Role
from detrun_scenarios.consensus.history import Numbers
from detrun_scenarios.consensus.invariants import Invariants
from detrun_scenarios.consensus.replica import RIGHT, Parts, Replica
from detrun_scenarios.consensus.settings import Settings

LINEARIZABLE: Final = "linearizable history"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Machines and links.

    Attributes:
        servers: how many there are at first, and spare ones that can be taken in.
        clients: how many, and how many of them only read, as long as the others work.
        latency_seconds: mean of a message between near machines, on top of a tenth of it.
        far_seconds: the same to and from the last two servers of five or more.
        fsync_seconds: mean of an fsync.
        drift: clocks of servers run at rates of 1 less this or 1 plus this.
    """

    servers: int = 5
    spares: int = 0
    clients: int = 4
    readers: int = 0
    latency_seconds: Any = 0.001
    far_seconds: Any = 0.004
    fsync_seconds: Any = 0.001
    drift: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """The servers that are there at first."""
        return tuple(f"server{number}" for number in range(1, self.servers + 1))

    @property
    def all_names(self) -> tuple[str, ...]:
        """All servers, spare ones included."""
        return tuple(f"server{number}" for number in range(1, self.servers + self.spares + 1))

    def disk_of(self, node: Node) -> Disk:
        """A disk that takes time and loses what was not synced."""
        return Disk(node.name, latency=DiskLatency(fsync_seconds=Exponential(self.fsync_seconds)))

    def clock_of(self, node: Node) -> NodeClock:
        """A clock that is too fast or too slow; that of a client is right, for it measures."""
        if not self.drift or node.name not in self.all_names:
            return NodeClock(node.name)
        is_fast = detrun.bernoulli(0.5, key=("drift", node.name))
        return NodeClock(node.name, drift=self.drift if is_fast else -self.drift)


@dataclass(slots=True)
class Cluster:
    """A running cluster.

    Attributes:
        replicas: name -> the process that runs there, or ran last.
        messages: that servers have sent to servers.
    """

    world: detrun.World
    layout: Layout
    settings: Settings
    parts: Parts
    invariants: Invariants = field(default_factory=Invariants)
    observed: Observed = field(default_factory=Observed)
    replicas: dict[str, Replica] = field(default_factory=dict)
    messages_before: int = 0

    async def serve(self) -> None:
        """The program of a server's node."""
        first = Configuration(self.layout.names)
        replica = Replica(first, self.settings, self.invariants, self.parts)
        before = self.replicas.get(replica.name)
        self.messages_before += before.messages_sent if before is not None else 0
        self.replicas[replica.name] = replica
        await replica.run()

    def start(self) -> None:
        """Start all servers."""
        for name in self.layout.all_names:
            self.world.node(name).start(self.serve)

    def start_clients(self, habits: Habits) -> list[Node]:
        """Start all clients; the nodes of those that write, which end when they have done their work."""
        count = self.layout.clients
        nodes = [self.world.node(f"client{number}") for number in range(1, count + 1)]
        writers = nodes[: count - self.layout.readers]
        reading = replace(habits, read_share=1.0, operations=None, think_seconds=habits.think_seconds / 3)
        for node in nodes:
            node.start(self.use, habits if node in writers else reading)
        return writers

    async def use(self, habits: Habits) -> None:
        """The program of a client's node."""
        await Client(self.layout.all_names, habits, self.observed).run()

    @property
    def messages(self) -> int:
        """How many messages servers have sent to each other."""
        return self.messages_before + sum(replica.messages_sent for replica in self.replicas.values())

    def leader(self) -> Replica | None:
        """The server that leads in the latest term, as far as one can see from outside."""
        leading = [
            replica
            for name, replica in self.replicas.items()
            if self.world.node(name).is_running and hasattr(replica, "raft") and replica.raft.role is Role.LEADER
        ]
        return max(leading, key=lambda replica: replica.raft.term, default=None)

    def has_converged(self) -> bool:
        """Whether there is one leader, and all its voters have applied what it has."""
        leader = self.leader()
        if leader is None:
            return False
        voters = [self.replicas.get(name) for name in leader.raft.configuration.voters]
        return all(voter is not None and voter.applied == leader.raft.log.last_index for voter in voters)

    def check_history(self) -> None:
        """Raise unless the clients' history is linearizable."""
        detrun.linearizable(Numbers(), self.observed.history).raise_on_failure()
        detrun.always(True, LINEARIZABLE)


@asynccontextmanager
async def cluster(layout: Layout, settings: Settings, parts: Parts = RIGHT) -> AsyncIterator[Cluster]:
    """A cluster that has just been started, in a world of its own."""
    near = Exponential(layout.latency_seconds, minimum=layout.latency_seconds / 10)
    far = Exponential(layout.far_seconds, minimum=layout.far_seconds / 10)
    async with detrun.World(latency=near, disk=layout.disk_of, clock=layout.clock_of) as world:
        found = Cluster(world, layout, settings, parts)
        found.start()
        for name in layout.names[3:]:
            for other in layout.all_names:
                if other != name:
                    world.link(name, other).latency = world.link(other, name).latency = far
        yield found
