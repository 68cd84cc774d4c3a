"""`Store`: the tables of a database and the transactions on them; it begins them and lets them wait for each other.

The catalogue is page 0: for each table one record with its columns, the first page of its heap, and its indexes with
their roots. None of these changes later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgpack
import trio

from detrun_scenarios.database.log.changes import Changes, Trail
from detrun_scenarios.database.log.records import Change, Update
from detrun_scenarios.database.storage.page import HEAP, Page
from detrun_scenarios.database.transactions.conflicts import Conflicts
from detrun_scenarios.database.transactions.heap import Heap, create_heap, open_heap
from detrun_scenarios.database.transactions.locks import Locks
from detrun_scenarios.database.transactions.table import Index, Table
from detrun_scenarios.database.transactions.versions import Snapshot
from detrun_scenarios.database.transactions.waits import Waits
from detrun_scenarios.database.tree.btree import Tree

CATALOGUE = 0


class Store:
    """See the module. Made by `open_store`.

    Attributes:
        group_commit_delay: seconds that one who commits waits for others; a number or a `Value`.
        conflicts, tree: the right ones if none are given.
        ends: number -> set when the transaction has ended, for those that go on.
        horizons: number -> all transactions before this one are known to its snapshot, for those that go on.
        replicated: returns when a replica has a record on its disk; None if no commit waits for that.
    """

    def __init__(
        self,
        changes: Changes,
        *,
        group_commit_delay: Any = 0.0,
        read_ahead: int = 1,
        conflicts: Conflicts | None = None,
        tree: type[Tree] = Tree,
    ) -> None:
        self.changes = changes
        self.tree = tree
        self.group_commit_delay = group_commit_delay
        self.read_ahead = read_ahead
        self.tables: dict[str, Table] = {}
        self.waits = Waits()
        self.locks = Locks(self.waits)
        self.conflicts = Conflicts() if conflicts is None else conflicts
        self.ends: dict[int, trio.Event] = {}
        self.horizons: dict[int, int] = {}
        self.replicated: Callable[[int], Awaitable[None]] | None = None
        changes.undo_in_tree = self._undo_in_tree

    async def _undo_in_tree(self, trail: Trail, record: Update) -> None:
        await self.tree(self.changes, record.tree).undo(trail, record)

    # Tables.

    async def load(self) -> None:
        """Find the tables of a recovered database, or begin an empty one."""
        pool = self.changes.pool
        if not pool.volume.pages:
            await pool.room("heap")
            frame = pool.create(pool.volume.allocate(), "heap", Page.new(HEAP, pool.volume.page_bytes))
            assert frame.page_id == CATALOGUE
            self.changes.restructured("heap", [frame])
            pool.unpin(frame)
            await self.changes.log.flush(self.changes.log.end - 1)
        await self.find_tables()

    async def find_tables(self) -> None:
        """Read the catalogue."""
        async with self.changes.pool.using(CATALOGUE, "heap", "shared") as frame:
            records = [record for _, record in frame.page.records()]
        for record in records:
            name, columns, first, indexes = msgpack.unpackb(record)
            table = Table(name, tuple(columns), await self.open_heap(first))
            for index, places, root, is_unique in indexes:
                table.indexes[index] = Index(index, tuple(places), self.tree(self.changes, root), is_unique)
            self.tables[name] = table

    async def open_heap(self, first: int) -> Heap:
        """The heap whose chain begins at a page."""
        return await open_heap(self.changes, first, self.read_ahead)

    async def create_table(
        self, name: str, columns: tuple[str, ...], indexes: Mapping[str, tuple[str, ...]], unique: tuple[str, ...] = ()
    ) -> Table:
        """A new table, durable when this returns. No transaction goes on meanwhile.

        Args:
            indexes: name -> its columns.
            unique: the names of indexes that have each key once.
        """
        table = Table(name, columns, await create_heap(self.changes, self.read_ahead))
        for index, of in indexes.items():
            places = tuple(map(columns.index, of))
            table.indexes[index] = Index(index, places, await self.tree.create(self.changes), index in unique)
        described = [[one.name, one.places, one.tree.root, one.is_unique] for one in table.indexes.values()]
        record: bytes = msgpack.packb([name, columns, table.heap.pages[0], described])
        trail = self.changes.begin()
        async with self.changes.pool.using(CATALOGUE, "heap", "exclusive") as frame:
            self.changes.update(trail, frame, Change("put", frame.page.free_slot(), record))
        await self.changes.log.flush(self.changes.commit(trail))
        self.changes.end(trail)
        self.tables[name] = table
        return table

    # Transactions.

    def snapshot(self, own: int) -> Snapshot:
        """What is committed now."""
        return Snapshot(own, frozenset(self.changes.trails) - {own}, self.changes.next_number)

    def horizon(self) -> int:
        """All transactions before it have ended, and are known to all snapshots."""
        return min([self.changes.next_number, *self.changes.trails, *self.horizons.values()])

    async def wait_for(self, waiter: int, other: int) -> None:
        """Return when another transaction has ended.

        Raises:
            DeadlockError: it waits for this one.
        """
        end = self.ends.get(other)
        if end is not None:
            self.waits.begin(waiter, lambda: (other,))
            await end.wait()
            self.waits.end(waiter)
