"""`Database`: a server with its clients in a world."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

import detrun
from detrun.world import Exponential
from detrun.world.nodes.node import Node
from detrun_scenarios.database.checks.watch import Watch
from detrun_scenarios.database.faults import PRIMARY, REPLICA
from detrun_scenarios.database.invariants import check_replica, committed_rows
from detrun_scenarios.database.parts import RIGHT, Parts
from detrun_scenarios.database.server.application import Application
from detrun_scenarios.database.server.machine import Hardware
from detrun_scenarios.database.server.replica import Replica
from detrun_scenarios.database.server.server import Server
from detrun_scenarios.database.settings import Settings
from detrun_scenarios.database.workload.terminals import Ask, Habits, Observed, Terminal
from detrun_scenarios.frame.measured import mean
from detrun_scenarios.frame.news import News

LOOK_SECONDS = 0.01


@dataclass(slots=True)
class Database:
    """A running database.

    Attributes:
        servers: the processes that have run on the primary, the last of which may be running.
        replicas: the processes that have run on the replica, if there is one.
        watch: over its servers, for short runs.
        observed: what its clients have seen.
    """

    world: detrun.World
    settings: Settings
    application: Application
    parts: Parts
    watch: Watch | None = None
    servers: list[Server] = field(default_factory=list)
    replicas: list[Replica] = field(default_factory=list)
    observed: Observed = field(default_factory=Observed)
    became_ready: News = field(default_factory=News)

    @property
    def node(self) -> Node:
        """The machine of the primary."""
        return self.world.node(PRIMARY)

    @property
    def server(self) -> Server:
        """The present process, or the last one."""
        return self.servers[-1]

    async def serve(self) -> None:
        """The program of the primary's node."""
        server = Server(self.settings, self.application, self.parts, self._serves, self.watch)
        self.servers.append(server)
        await server.run()

    def start_replica(self) -> None:
        """Have a replica, too; in a watched run, see to it that what it shows fits together."""
        self.world.node(REPLICA).start(self.follow)

    async def follow(self) -> None:
        """The program of the replica's node."""
        parts = self.parts if self.watch is None else self.watch.over_replica(self.parts)
        replica = Replica(PRIMARY, self.settings, self.application, parts)
        self.replicas.append(replica)
        async with trio.open_nursery() as tasks:
            tasks.start_soon(replica.run)
            while self.watch is not None:
                await trio.sleep(LOOK_SECONDS)
                if replica.is_open:
                    check_replica(await committed_rows(await replica.reader()))

    @property
    def replica_lag(self) -> Any:
        """Mean over the batches that were applied; 0 if there were none."""
        return mean([lag for replica in self.replicas for lag in replica.lags])

    async def caught_up(self) -> None:
        """Return when the replica has applied all that the server has in its log now; it is started if it has ended."""
        end, node = self.server.log.flushed, self.world.node(REPLICA)
        node.resume()
        if not node.is_running:
            self.replicas.clear()
            node.restart()
        while not (self.replicas and self.replicas[-1].is_open and self.replicas[-1].standby.applied >= end):
            await trio.sleep(LOOK_SECONDS)

    def _serves(self) -> None:
        self.became_ready.tell()

    async def ready(self) -> None:
        """Return when the database serves."""
        while not (self.node.is_running and self.servers and self.server.is_ready):
            await self.became_ready.wait()

    async def restart(self) -> Any:
        """Cut the power of the primary, and start it again; the seconds from then until it serves."""
        self.node.power_loss()
        began = trio.current_time()
        self.node.restart()
        await self.became_ready.wait()
        return trio.current_time() - began

    @property
    def bytes_written(self) -> int:
        """To log and pages, by all processes of the primary that have opened them."""
        opened = [server for server in self.servers if server.is_open]
        return sum(server.log.bytes_written + server.pool.volume.bytes_written for server in opened)

    def start_clients(self, count: int, ask: Ask, habits: Habits) -> list[Node]:
        """Start so many clients; their nodes."""
        nodes = [self.world.node(f"client{number}") for number in range(1, count + 1)]
        for node in nodes:
            node.start(self.use, ask, habits)
        return nodes

    async def use(self, ask: Ask, habits: Habits) -> None:
        """The program of a client's node."""
        await Terminal(PRIMARY, ask, habits, self.observed).run()


@asynccontextmanager
async def database(
    hardware: Hardware, settings: Settings, application: Application, parts: Parts = RIGHT, watch: Watch | None = None
) -> AsyncIterator[Database]:
    """A database whose server has just been started, in a world of its own."""
    mean = hardware.link_seconds
    latency = Exponential(mean, minimum=mean / 10) if mean else 0.0
    async with detrun.World(latency=latency, disk=hardware.disk_of) as world:
        found = Database(world, settings, application, parts, watch)
        found.node.start(found.serve)
        yield found
