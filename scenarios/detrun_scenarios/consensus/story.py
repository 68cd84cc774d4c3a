"""A few seconds of a cluster in which everything happens once: what the picture of the scenario shows.

Clients write all the time. A leader crashes and comes back; the next one is cut off from the other servers, not from
its clients, and is let in again; a server that was never there takes the place of another; leadership is handed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from detrun_scenarios.consensus.client import Habits
from detrun_scenarios.consensus.cluster import Cluster, Layout, cluster
from detrun_scenarios.consensus.core.server import Role
from detrun_scenarios.consensus.requests import ChangeMembers, TransferLeadership
from detrun_scenarios.consensus.workload import Workload, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKLOAD = Workload(
    layout=Layout(spares=1, clients=4),
    habits=Habits(operations=None, think_seconds=0.012, read_share=0.0, retry_seconds=0.1),
    snapshot_entries=160,
)
LOOK_SECONDS = 0.005  # between two samples
END = 5.2


@dataclass(frozen=True, slots=True)
class Sample:
    """What one server is at one moment; `role` is None while it is down, and the rest is what it had.

    Attributes:
        is_member: of the configuration that the cluster's leader goes by.
    """

    role: Role | None
    term: int
    is_member: bool
    base_index: int
    last_index: int
    commit_index: int


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that was done to a server, from a moment to another one, or at once if they are equal."""

    what: str
    server: str
    began: float
    ended: float


@dataclass(slots=True)
class Story:
    """What was seen.

    Attributes:
        samples: by server, one for each of `times`.
        members: of the cluster, as its last leader knows them.
    """

    times: list[float] = field(default_factory=list)
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    happenings: list[Happening] = field(default_factory=list)
    members: tuple[str, ...] = WORKLOAD.layout.names

    @contextmanager
    def happening(self, what: str, server: str) -> Iterator[None]:
        """What is done in a block happens to a server."""
        began = trio.current_time()
        yield
        self.happenings.append(Happening(what, server, began, trio.current_time()))

    async def watch(self, found: Cluster) -> None:
        """Look at all servers again and again."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            self.times.append(trio.current_time())
            leader = found.leader()
            if leader is not None:
                self.members = leader.raft.configuration.members
            for name in found.layout.all_names:
                self.samples.setdefault(name, []).append(_look(found, name, name in self.members))

    async def tell(self, params: Mapping[str, Any]) -> None:
        """Let it happen. The program, for `detrun.record`."""
        settings = settings_of(params, WORKLOAD)
        async with cluster(WORKLOAD.layout, settings) as found, trio.open_nursery() as watching:
            watching.start_soon(self.watch, found)
            await leader_of(found)
            found.start_clients(WORKLOAD.habits)
            await trio.sleep_until(0.8)
            await self.crash(found)
            await trio.sleep_until(2.0)
            await self.cut_off(found)
            await trio.sleep_until(3.4)
            await self.replace(found)
            await trio.sleep_until(4.4)
            await self.hand_over(found)
            await trio.sleep_until(END)
            watching.cancel_scope.cancel()

    async def crash(self, found: Cluster) -> None:
        """The leader's process dies, and is started again."""
        name = await leader_of(found)
        with self.happening("crashes", name):
            found.world.node(name).crash()
            await trio.sleep(0.5)
        found.world.node(name).restart()

    async def cut_off(self, found: Cluster) -> None:
        """The leader reaches no other server for a while, and its clients reach it."""
        name = await leader_of(found)
        others = [other for other in found.layout.all_names if other != name]
        with self.happening("cut off", name):
            found.world.partition(name, others)
            await trio.sleep(0.7)
        found.world.heal(name, others)

    async def replace(self, found: Cluster) -> None:
        """The spare server takes the place of a follower."""
        leader = await leader_of(found)
        spare = found.layout.all_names[-1]
        leaves = next(name for name in found.layout.names if name != leader)
        voters = tuple(name for name in found.layout.all_names if name != leaves)
        with self.happening(f"replaces {leaves}", spare):
            found.world.driver.send(leader, ChangeMembers(voters))
            while found.replicas[leader].raft.configuration.voters != voters:
                await trio.sleep(LOOK_SECONDS)

    async def hand_over(self, found: Cluster) -> None:
        """The leader hands over to another server."""
        leader = await leader_of(found)
        to = next(name for name in found.replicas[leader].raft.configuration.voters if name != leader)
        with self.happening(f"hands over to {to}", leader):
            found.world.driver.send(leader, TransferLeadership(to))
            await trio.sleep(0)


async def leader_of(found: Cluster) -> str:
    """The leader's name, once there is one."""
    while (leader := found.leader()) is None:
        await found.invariants.leader_is_ready.wait()
    return leader.name


def _look(found: Cluster, name: str, is_member: bool) -> Sample:
    replica = found.replicas.get(name)
    if replica is None or not hasattr(replica, "raft"):
        return Sample(None, 0, is_member, 0, 0, 0)
    raft = replica.raft
    return Sample(
        raft.role if found.world.node(name).is_running else None,
        raft.term,
        is_member,
        raft.log.base_index,
        raft.log.last_index,
        raft.commit_index,
    )
