"""`Site`: the whole system in a world: web server, database, upstream service, monitor, and the node of the clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

import detrun
from detrun.checkers.transactions import Place
from detrun.world import Exponential
from detrun_scenarios.web_server.addresses import CLIENTS, DATABASE, MONITOR, UPSTREAM, WEB
from detrun_scenarios.web_server.application.gauge import Monitor
from detrun_scenarios.web_server.backend.database_server import DatabaseServer
from detrun_scenarios.web_server.backend.upstream_service import UpstreamService
from detrun_scenarios.web_server.parts import RIGHT, Parts
from detrun_scenarios.web_server.serving.server import WebServer
from detrun_scenarios.web_server.settings import Settings

START_SECONDS = 0.05  # until all servers listen


class Site:
    """See the module.

    Attributes:
        web: the server over all its starts.
        database, upstream: what it stands on; both survive what their nodes go through.
        monitor: what it shows of itself.
    """

    def __init__(self, world: detrun.World, settings: Settings, parts: Parts) -> None:
        self.world = world
        self.settings = settings
        self.monitor = Monitor()
        self.database = DatabaseServer(settings)
        self.upstream = UpstreamService(settings)
        self.web_node = world.node(WEB)
        self.web = WebServer(settings, parts, self.web_node)
        self.client_node = world.node(CLIENTS)

    def start(self) -> None:
        """Start every server."""
        self.world.node(MONITOR).start(self.monitor.run)
        self.world.node(DATABASE).start(self.database.serve)
        self.world.node(UPSTREAM).start(self.upstream.serve)
        self.web_node.start(self.web.run)

    def mixed(self) -> tuple[tuple[str, Place | None], ...]:
        """What the invariant of answers names: see `ConnectionPool.asked_with_an_answer_due`."""
        return next(filter(None, (one.pool.asked_with_an_answer_due for one in reversed(self.web.stacks))), ())

    def repeated(self) -> tuple[tuple[str, Place | None], ...]:
        """What the invariant of outages names: where a quote was last asked for again, and the last was taken on."""
        allowed = next(filter(None, (one.retries.allowed_in for one in reversed(self.web.stacks))), None)
        return ("asks again in", allowed), ("and is taken on in", self.upstream.taken_in)

    async def stop(self) -> None:
        """Terminate the web server, if it runs, and return when it has stopped."""
        if self.web_node.is_running:
            self.web.terminate()
            await self.web_node.ended()


@asynccontextmanager
async def site(settings: Settings, parts: Parts = RIGHT, latency: float = 0.001) -> AsyncIterator[Site]:
    """A site that listens."""
    async with detrun.World(latency=Exponential(latency, minimum=latency / 4) if latency else 0.0) as world:
        found = Site(world, settings, parts)
        found.start()
        await trio.sleep(START_SECONDS)
        yield found
