"""`Server`: a database as a process on a node, from recovery to its end.

It recovers from its disks, makes the tables that are missing, fills them if they are empty, and then serves. Each
connection is a session with a task of its own, which does one transaction at a time; a checkpointer and a writer work
beside them. Clients that come before are refused by the network, as nothing listens.

A transaction that is refused for the sake of order, or that waited in a circle, is tried again from its start, after a
while; a client sees it as a slow one.

Rule: sessions are not cancelled. A task that is gone in the midst of a descent leaves its latches behind; a process
that ends takes all of them with it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import trio

import detrun
from detrun.world.nodes.node import Node
from detrun_scenarios.database.checks.watch import Watch
from detrun_scenarios.database.log.changes import Changes
from detrun_scenarios.database.log.recovery import Recovered, recover
from detrun_scenarios.database.log.writer import LogWriter, open_log
from detrun_scenarios.database.parts import RIGHT, Parts
from detrun_scenarios.database.replication.shipper import Shipper
from detrun_scenarios.database.server.application import Application, RefusedError, Work
from detrun_scenarios.database.server.background import keep_clean, take_checkpoints, write_ahead
from detrun_scenarios.database.server.connection import answer_requests
from detrun_scenarios.database.server.machine import open_pages
from detrun_scenarios.database.settings import Settings
from detrun_scenarios.database.sql.choice import Choose, Drawn, cheapest
from detrun_scenarios.database.sql.execute import Executor
from detrun_scenarios.database.sql.statistics import Statistics, analyzed
from detrun_scenarios.database.storage.buffer import BufferPool
from detrun_scenarios.database.transactions.store import Store
from detrun_scenarios.database.transactions.transaction import ABORTED

PORT = 5432
DONE, REFUSED, FAILED = "done", "refused", "failed"  # how a request ends


def _nothing() -> None:
    pass


class Server:
    """See the module. `run` is its program.

    Attributes:
        is_ready: whether it serves.
        recovered: what its recovery has done.
    """

    log: LogWriter
    pool: BufferPool
    store: Store
    recovered: Recovered
    shipper: Shipper

    def __init__(
        self,
        settings: Settings,
        application: Application,
        parts: Parts = RIGHT,
        on_ready: Callable[[], None] = _nothing,
        watch: Watch | None = None,
    ) -> None:
        self.node: Node = detrun.this_node()
        self.settings = settings
        self.application = application
        self.parts = parts if watch is None else watch.over(parts)
        self.watch = watch
        self.is_ready = False
        self._on_ready = on_ready
        self.statistics: dict[str, Statistics] = {}
        self.costs = settings.costs

    async def run(self) -> None:
        """Recover and serve until the process ends."""
        await self.open()
        async with trio.open_nursery() as tasks:
            settings = self.settings
            self.shipper = Shipper(self.store.changes, settings)
            tasks.start_soon(self.shipper.run)
            if settings.is_synchronous:
                self.store.replicated = self.shipper.replicated
            tasks.start_soon(take_checkpoints, self.store.changes, settings.checkpoint_interval, self.shipper.keep_from)
            if settings.vacuum_interval is not None:
                tasks.start_soon(keep_clean, self.store, settings.vacuum_interval)
            tasks.start_soon(write_ahead, self.pool, settings.writer_interval, settings.writer_pages)
            await tasks.start(trio.serve_tcp, self.serve, PORT)
            self.is_ready = True
            self._on_ready()
            tasks.start_soon(self.analyze)

    @property
    def is_open(self) -> bool:
        """Whether it has log and pages."""
        return hasattr(self, "store")

    async def open(self) -> None:
        """Recover what is on the disks, and see to it that the tables are there."""
        settings, disk = self.settings, self.node.disk
        self.log = await open_log(disk, settings.segment_bytes)
        volume = await open_pages(disk, settings.page_bytes)
        self.pool = self.parts.pool(volume, self.log, settings.capacity, settings.policy)
        changes = Changes(self.pool, self.log)
        self.store = Store(
            changes,
            group_commit_delay=settings.group_commit_delay,
            read_ahead=settings.pages_at_once,
            conflicts=self.parts.conflicts(),
            tree=self.parts.tree,
        )
        self.recovered = await recover(changes)
        await detrun.sleep(settings.redo_seconds * (self.recovered.records + self.recovered.redone))
        await self.store.load()
        if self.watch is not None:
            await self.watch.recovered(self.store)
        for shape in self.application.tables:
            if shape.name not in self.store.tables:
                await self.store.create_table(shape.name, shape.columns, shape.indexes, shape.unique)
        await self._fill()

    async def analyze(self) -> None:
        """Have statistics of all tables, which queries do without until then."""
        for name, table in self.store.tables.items():
            self.statistics[name] = await analyzed(self.store, table)

    async def _fill(self) -> None:
        transaction = self.parts.transaction(self.store, "snapshot")
        if not await transaction.scan(self.store.tables[self.application.tables[0].name]):
            await self.application.fill(Work(Executor(transaction, {}, self.costs)))
        await transaction.commit()

    # Sessions.

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection."""
        client, _ = stream.socket.getpeername()
        temperature = self.settings.plan_temperature
        choose = Drawn(temperature, client) if temperature else cheapest
        await answer_requests(stream, partial(self.carry_out, choose=choose))

    async def carry_out(self, name: str, arguments: list[Any], choose: Choose = cheapest) -> tuple[str, Any]:
        """Call a procedure in a transaction, as often as it takes; how the request ends, and the answer.

        Args:
            choose: the plans of its statements.
        """
        procedure = self.application.procedure(name)
        for _ in range(self.settings.attempts_max):
            transaction = self.parts.transaction(self.store, self.settings.level)
            try:
                work = Work(Executor(transaction, self.statistics, self.costs, choose))
                answer = await procedure(work, arguments)
                await transaction.commit()
            except RefusedError as error:
                await transaction.roll_back()
                return REFUSED, str(error)
            except ABORTED:
                await transaction.roll_back()
                await trio.sleep(detrun.exponential(self.settings.retry_seconds))
            else:
                return DONE, answer
        return FAILED, None
