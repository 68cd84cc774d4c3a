"""`Reader`: a transaction that only reads, on a replica; and the tables that it finds there.

Tables change under it by redo, so that nothing about them is kept in memory: the catalogue is read again when its page
has changed, and a heap is scanned along its chain.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable, Sequence
from typing import Any

from detrun_scenarios.database.log.changes import Changes, Trail
from detrun_scenarios.database.replication.standby import Standby
from detrun_scenarios.database.storage.page import NO_PAGE
from detrun_scenarios.database.transactions.heap import Heap
from detrun_scenarios.database.transactions.store import CATALOGUE, Store
from detrun_scenarios.database.transactions.table import Table
from detrun_scenarios.database.transactions.transaction import Transaction
from detrun_scenarios.database.transactions.versions import Snapshot
from detrun_scenarios.database.tree.keys import Address


class ReadOnlyError(Exception):
    """A replica takes no changes; they have to be made at the primary."""


class ReplicaHeap(Heap):
    """A heap whose chain grows by redo."""

    async def each_page(self) -> AsyncGenerator[list[tuple[Address, bytes]], None]:
        """See `Heap.each_page`."""
        page_id = self.pages[0]
        while page_id != NO_PAGE:
            async with self.changes.pool.using(page_id, "heap", "shared") as frame:
                records, following = list(frame.page.records()), frame.page.next
            yield [(Address(page_id, slot), record) for slot, record in records]
            page_id = following


class ReplicaStore(Store):
    """The tables of a replica."""

    def __init__(self, changes: Changes, standby: Standby, **options: Any) -> None:
        super().__init__(changes, **options)
        self.standby = standby
        self._catalogue_lsn = 0

    def snapshot(self, own: int) -> Snapshot:
        """What is committed in what was applied."""
        return self.standby.snapshot()

    async def open_heap(self, first: int) -> Heap:
        """See `Store`."""
        return ReplicaHeap(self.changes, [first])

    async def refresh(self) -> None:
        """Find the tables that there are now; the log is applied as far as a catalogue."""
        async with self.changes.pool.using(CATALOGUE, "heap", "shared") as frame:
            lsn = frame.page.lsn
        if lsn != self._catalogue_lsn:
            await self.find_tables()
            self._catalogue_lsn = lsn


class Reader(Transaction):
    """See the module. Its level is ``snapshot``, and it ends by `commit` or `roll_back`.

    Args:
        store: it has been refreshed.
    """

    def __init__(self, store: ReplicaStore) -> None:
        self.store = store
        self.level = "snapshot"
        self.trail = Trail(0)
        self.number = 0
        self.snapshot = store.snapshot(0)
        self.marks = None
        self._standby = store.standby
        self._reader = self._standby.enter(self.snapshot)

    async def _will_read(self, table: Table, resource: Hashable) -> None:
        """Nothing is locked or noted."""

    async def _will_write(self, table: Table, *rows: Sequence[Any]) -> None:
        raise ReadOnlyError(f"table {table.name}: a replica takes no changes; make them at the primary")

    async def commit(self) -> None:
        """The end of reading; it has to come, for records may wait for it."""
        self._standby.leave(self._reader)

    async def roll_back(self) -> None:
        """The same."""
        self._standby.leave(self._reader)
