"""`Replica`: a process that follows a primary's log and answers reads from what it has applied.

One task takes messages; one *writes* batches to the log in their order, and acknowledges them after the fsync; one
*applies* them; one says from time to time where the log ends; one moves the restart point, and frees the log before it.
Each connection is a session, as at the primary, whose procedures may only read.

When the primary has not kept what comes next, all of this ends, and the replica receives all pages anew.
"""

from __future__ import annotations

from typing import Any

import trio

import detrun
from detrun.world.nodes.node import Node
from detrun_scenarios.database.log.changes import Changes
from detrun_scenarios.database.log.records import records_in
from detrun_scenarios.database.log.writer import LogWriter, open_log
from detrun_scenarios.database.parts import RIGHT, Parts
from detrun_scenarios.database.replication.batches import Batches
from detrun_scenarios.database.replication.messages import (
    MESSAGE_BYTES,
    Acknowledged,
    Batch,
    Copied,
    CopyNumber,
    Pages,
)
from detrun_scenarios.database.replication.reader import Reader, ReadOnlyError, ReplicaStore
from detrun_scenarios.database.replication.restart_point import RestartPoint, load_restart_point
from detrun_scenarios.database.replication.standby import Standby
from detrun_scenarios.database.server.application import Application, RefusedError, Work
from detrun_scenarios.database.server.background import write_ahead
from detrun_scenarios.database.server.connection import answer_requests
from detrun_scenarios.database.server.machine import open_pages
from detrun_scenarios.database.server.server import DONE, PORT, REFUSED
from detrun_scenarios.database.settings import Settings
from detrun_scenarios.database.sql.execute import Executor
from detrun_scenarios.database.sql.statistics import Statistics, analyzed
from detrun_scenarios.database.storage.buffer import BufferPool


class Replica:
    """See the module. `run` is its program.

    Attributes:
        primary: the name of its node.
        lags: seconds from when a batch was ready at the primary until it was applied.
        copies: of all pages, received so far.
    """

    log: LogWriter
    pool: BufferPool
    standby: Standby
    store: ReplicaStore
    restart_point: RestartPoint
    batches: Batches

    def __init__(self, primary: str, settings: Settings, application: Application, parts: Parts = RIGHT) -> None:
        self.node: Node = detrun.this_node()
        self.primary = primary
        self.settings = settings
        self.application = application
        self.parts = parts
        self.lags: list[Any] = []
        self.copies = 0
        self.costs = settings.costs
        self._statistics: dict[str, Statistics] = {}
        self._words = 0
        self._has_checkpoint = trio.Event()

    async def run(self) -> None:
        """Follow the primary until the process ends."""
        await open_log(self.node.disk, self.settings.segment_bytes)  # which makes the directory
        self.restart_point = await load_restart_point(self.node.disk)
        while True:
            if self.restart_point.is_copying:
                await self._receive_copy()
            await self.open()
            await self._follow()

    @property
    def is_open(self) -> bool:
        """Whether there is something to read from."""
        return hasattr(self, "store") and not self.restart_point.is_copying and self.standby.is_consistent

    async def open(self) -> None:
        """Redo what is on the disks."""
        settings, disk, begin = self.settings, self.node.disk, self.restart_point.redo_from
        self.log = await open_log(disk, settings.segment_bytes)
        volume = await open_pages(disk, settings.page_bytes)
        await volume.sync()  # for what is read may be in the cache only, after a mere crash of the process
        placed = await self.log.read_from(begin)
        await self.log.cut(placed[-1].end if placed else begin)
        self.pool = self.parts.pool(volume, self.log, settings.capacity, settings.policy)
        # Pages on the disk may have changes of all the log that was there.
        self.standby = Standby(self.pool, begin, max(self.restart_point.consistent_from, self.log.end))
        self.store = ReplicaStore(Changes(self.pool, self.log), self.standby, tree=self.parts.tree)
        for one in placed:
            await self.standby.apply(one)
        self.standby.check_whole()
        self.batches = self.parts.batches()
        self._statistics = {}

    async def _follow(self) -> None:
        """Follow the log, until the primary says that it is gone."""
        async with trio.open_nursery() as tasks:
            for task in (self._write, self._apply, self._move_restart_point):
                tasks.start_soon(task)
            tasks.start_soon(self._say_where)
            tasks.start_soon(write_ahead, self.pool, self.settings.writer_interval, self.settings.writer_pages)
            tasks.start_soon(trio.serve_tcp, self.serve, PORT)
            copy = await self._receive()
            tasks.cancel_scope.cancel()
        self.restart_point = RestartPoint(copy=copy, is_copying=True)
        await self.restart_point.save(self.node.disk)

    # The log.

    async def _receive(self) -> CopyNumber:
        """Take batches, until there is a copy to be received."""
        while True:
            message: Batch | Pages = await self.node.receive((Batch, Pages))
            if isinstance(message, Batch):
                self.batches.arrived(message)
            elif message.copy > self.restart_point.copy:
                return message.copy
            elif message.copy == self.restart_point.copy:  # the primary has not heard that it is whole
                self._has_copied(message.copy, message.first + len(message.pages))

    def _acknowledge(self, end: int) -> None:
        self._words += 1
        self.node.send(self.primary, Acknowledged(end, (self.node.starts, self._words)), size=MESSAGE_BYTES)

    async def _say_where(self) -> None:
        """Say where the log ends, from time to time."""
        while True:
            self._acknowledge(self.log.flushed)
            await trio.sleep(self.settings.resend_seconds / 2)

    async def _write(self) -> None:
        """Write what has arrived, in its order."""
        batches, log = self.batches, self.log
        while True:
            while (batch := batches.next_to_write(log.end)) is not None:
                log.append_bytes(batch.data)
                await log.flush(batch.begin)
                self._acknowledge(log.flushed)
                batches.has_more.tell()
            await batches.has_more.wait()

    async def _apply(self) -> None:
        """Apply what is in the log."""
        batches, standby = self.batches, self.standby
        while True:
            while (batch := batches.next_to_apply(standby.applied, self.log.flushed)) is not None:
                await self.apply(batch)
                self.lags.append(trio.current_time() - batch.since)
            await batches.has_more.wait()

    async def apply(self, batch: Batch) -> None:
        """Apply one batch."""
        for placed in records_in(batch.data, batch.begin):
            before = self.standby.checkpoint
            await self.standby.apply(placed)
            if self.standby.checkpoint != before:
                self._has_checkpoint.set()

    async def _move_restart_point(self) -> None:
        """After each checkpoint of the primary, write what was old at the one before, and begin later from now on."""
        pool, disk, before = self.pool, self.node.disk, 0
        while True:
            await self._has_checkpoint.wait()
            self._has_checkpoint = trio.Event()
            checkpoint = self.standby.checkpoint
            for frame in list(pool.frames.values()):
                if frame.recovery_lsn is not None and frame.recovery_lsn < before:
                    await pool.write(frame)
            if pool.unsynced:
                await pool.sync()
            before = checkpoint or 0
            redo_from = self.standby.redo_from
            if redo_from is not None:
                point = self.restart_point
                self.restart_point = RestartPoint(redo_from, point.consistent_from, point.copy)
                await self.restart_point.save(disk)
                await self.log.free_before(redo_from)

    # A copy of all pages.

    async def _receive_copy(self) -> None:
        """Receive all pages, from the first on; whatever log there was is forgotten."""
        volume = await open_pages(self.node.disk, self.settings.page_bytes)
        copy, following = self.restart_point.copy, 0
        while True:
            message: Pages | None = None
            with trio.move_on_after(self.settings.resend_seconds):
                message = await self.node.receive(Pages)
            if message is None:
                self._acknowledge(0)
                continue
            if message.copy > copy and not message.first:
                copy, following = message.copy, 0
            if message.copy != copy:
                continue
            if message.first == following:
                for place, data in enumerate(message.pages):
                    if data:
                        await volume.write(following + place, data)
                following += len(message.pages)
                if message.is_last:
                    break
            self._has_copied(copy, following)
        await volume.sync()
        await (await open_log(self.node.disk, self.settings.segment_bytes)).restart_at(message.start)
        self.restart_point = RestartPoint(message.start, message.consistent_from, copy)
        await self.restart_point.save(self.node.disk)
        self.copies += 1
        self._has_copied(copy, following)

    def _has_copied(self, copy: CopyNumber, following: int) -> None:
        self.node.send(self.primary, Copied(copy, following), size=MESSAGE_BYTES)

    # Sessions.

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection."""
        await answer_requests(stream, self.carry_out)

    async def reader(self) -> Reader:
        """A transaction that sees what is applied now; it waits until that is consistent."""
        while not self.standby.is_consistent:
            await self.standby.has_more.wait()
        await self.store.refresh()
        return Reader(self.store)

    async def carry_out(self, name: str, arguments: list[Any]) -> tuple[str, Any]:
        """Call a procedure that only reads; how the request ends, and the answer."""
        for table in [one for name, one in self.store.tables.items() if name not in self._statistics]:
            self._statistics[table.name] = await analyzed(self.store, table, await self.reader())
        reader = await self.reader()
        try:
            work = Work(Executor(reader, self._statistics, self.costs))
            return DONE, await self.application.procedure(name)(work, arguments)
        except (RefusedError, ReadOnlyError) as error:
            return REFUSED, str(error)
        finally:
            await reader.commit()
