"""`Transaction`: reads and writes of rows that take effect together or not at all.

Levels.
- ``snapshot``: reads see what was committed when it began. Of two concurrent writers of one row the first wins: the
  other waits for its end, and fails if it was committed.
- ``serializable``: the same, and `conflicts` refuses what no order explains.
- ``2pl``: strict two-phase locking (`locks`); each read sees what is committed now, which its locks keep so.

An error of `ABORTED` leaves the transaction to be rolled back; it may be tried again from the start.

Source: Berenson et al., "A critique of ANSI SQL isolation levels", SIGMOD 1995 (snapshot isolation, first committer
wins); that the first *updater* wins is PostgreSQL's form of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable, Sequence
from contextlib import aclosing
from typing import Literal, NamedTuple, TypeAlias

import trio

from detrun_scenarios.database.log.records import Change
from detrun_scenarios.database.transactions.conflicts import Marks, SerializationError
from detrun_scenarios.database.transactions.locks import LockMode
from detrun_scenarios.database.transactions.store import Store
from detrun_scenarios.database.transactions.table import Index, Table
from detrun_scenarios.database.transactions.versions import Row, Version, ended, version_of
from detrun_scenarios.database.transactions.waits import DeadlockError
from detrun_scenarios.database.tree.backward import leaves_backward
from detrun_scenarios.database.tree.keys import Address, SqlValue, address_in, encoded_key, end_of, entry_of

Level: TypeAlias = Literal["snapshot", "serializable", "2pl"]
ABORTED = (SerializationError, DeadlockError)


class DuplicateKeyError(Exception):
    """There is another row with the key of a unique index."""


class Found(NamedTuple):
    """A row that a transaction has read: where, and what."""

    address: Address
    row: Row


class Transaction:
    """See the module. It ends by `commit` or `roll_back`, one of which has to be called."""

    def __init__(self, store: Store, level: Level) -> None:
        self.store = store
        self.level: Level = level
        self.trail = store.changes.begin()
        self.number = self.trail.number
        self.snapshot = store.snapshot(self.number)
        self.marks: Marks | None = store.conflicts.begin(self.number) if level == "serializable" else None
        store.ends[self.number] = trio.Event()
        store.horizons[self.number] = self.snapshot.horizon

    # Reading.

    async def get(self, table: Table, index: str, key: Sequence[SqlValue]) -> list[Found]:
        """The rows with a key: values for the columns of an index, or the first of them."""
        prefix = encoded_key(key)
        return await _all(await self.each_between(table, index, prefix, end_of(prefix), within=prefix))

    async def between(self, table: Table, index: str, low: bytes, high: bytes) -> list[Found]:
        """The rows whose encoded keys are from ``low`` up to ``high``, excluded, in their order."""
        return await _all(await self.each_between(table, index, low, high))

    async def each_between(
        self,
        table: Table,
        index: str,
        low: bytes,
        high: bytes,
        *,
        is_backward: bool = False,
        within: bytes = b"",
        one_by_one: bool = False,
    ) -> AsyncGenerator[list[Found], None]:
        """The same, leaf by leaf as far as they are asked for.

        Args:
            is_backward: from the last one on.
            within: whole values with which all keys of the range begin; nothing outside of that is read.
            one_by_one: no row is read before it is asked for.
        """
        await self._will_read(table, (table.name, index, within) if within else table.resource)
        return self._each_leaf(table, table.indexes[index], low, high, is_backward, one_by_one)

    async def scan(self, table: Table) -> list[Found]:
        """All rows, in no order."""
        return await _all(await self.each(table))

    async def each(self, table: Table) -> AsyncGenerator[list[Found], None]:
        """The same, page by page as far as they are asked for."""
        await self._will_read(table, table.resource)
        return self._each_page(table)

    async def _each_page(self, table: Table) -> AsyncGenerator[list[Found], None]:
        async with aclosing(table.heap.each_page()) as pages:
            async for page in pages:
                looked_at = [self._look_at(address, version_of(record)) for address, record in page]
                yield [one for one in looked_at if one is not None]

    async def _each_leaf(
        self,
        table: Table,
        index: Index,
        low: bytes,
        high: bytes,
        is_backward: bool = False,
        one_by_one: bool = False,
    ) -> AsyncGenerator[list[Found], None]:
        tree = index.tree
        async with aclosing(leaves_backward(tree, low, high) if is_backward else tree.leaves(low, high)) as leaves:
            async for _, entries in leaves:
                for some in [[one] for one in entries] if one_by_one else [entries]:
                    yield await self._read_entries(table, index, some)

    async def _read_entries(self, table: Table, index: Index, entries: Sequence[bytes]) -> list[Found]:
        found: list[Found] = []
        for entry in entries:
            address = address_in(entry)
            record = await table.heap.get(address)
            if record is not None:
                version = version_of(record)
                if entry_of(index.key(version.row), address) == entry:  # else the place has another row by now
                    one = self._look_at(address, version)
                    if one is not None:
                        found.append(one)
        return found

    async def _will_read(self, table: Table, resource: Hashable) -> None:
        self._check()
        if self.marks is not None:
            self.store.conflicts.reads(self.marks, resource)
        if self.level == "2pl":
            locks = self.store.locks
            if resource == table.resource:
                await locks.acquire(self.number, resource, "S")
            else:
                await locks.acquire(self.number, table.resource, "IS")
                await locks.acquire(self.number, resource, "S")
            self.snapshot = self.store.snapshot(self.number)

    def _look_at(self, address: Address, version: Version) -> Found | None:
        """The row, if this version of it is to be seen."""
        snapshot = self.snapshot
        if self.marks is not None:
            for writer in (version.made_by, version.ended_by):
                if writer and not snapshot.knows(writer):
                    self.store.conflicts.ignores(self.marks, writer)
        return Found(address, version.row) if snapshot.sees(version) else None

    # Writing.

    async def insert(self, table: Table, row: Row) -> Address:
        """A new row.

        Raises:
            DuplicateKeyError: a unique index has its key.
            SerializationError, DeadlockError: see the module.
        """
        await self._will_write(table, row)
        for index in table.indexes.values():
            if index.forbids_another(row):
                await self._claim_key(table, index, row)
        address = await self._put(table, row)
        self._has_written(table, row)
        return address

    async def update(self, table: Table, found: Found, row: Row) -> Address:
        """Another row in place of one that this transaction has read."""
        await self._will_write(table, found.row, row)
        for index in table.indexes.values():
            if index.forbids_another(row) and index.key(row) != index.key(found.row):
                await self._claim_key(table, index, row)
        await self._end_version(found.address)
        address = await self._put(table, row)
        self._has_written(table, found.row, row)
        return address

    async def delete(self, table: Table, found: Found) -> None:
        """No row in place of one that this transaction has read."""
        await self._will_write(table, found.row)
        await self._end_version(found.address)
        self._has_written(table, found.row)

    async def _will_write(self, table: Table, *rows: Row) -> None:
        self._check()
        if self.level == "2pl":
            locks = self.store.locks
            await locks.acquire(self.number, table.resource, "IX")
            wanted: dict[Hashable, LockMode] = {one: "IX" for row in rows for one in table.beginnings(row)}
            wanted |= {one: "X" for row in rows for one in table.resources(row)}
            for resource in sorted(wanted, key=repr):
                await locks.acquire(self.number, resource, wanted[resource])

    def _has_written(self, table: Table, *rows: Row) -> None:
        if self.marks is not None:
            written: dict[Hashable, None] = {table.resource: None}
            for row in rows:
                written |= dict.fromkeys(table.beginnings(row)) | dict.fromkeys(table.resources(row))
            for resource in written:
                self.store.conflicts.writes(self.marks, resource)

    async def _put(self, table: Table, row: Row) -> Address:
        address = await table.heap.insert(self.trail, Version(self.number, 0, row).encoded())
        for index in table.indexes.values():
            await index.tree.insert(self.trail, entry_of(index.key(row), address))
        return address

    async def _end_version(self, address: Address) -> None:
        """Mark a version as ended by this transaction, once no other one is about to.

        Raises:
            SerializationError: another one has ended it, and was committed.
            DeadlockError: another one is about to, and waits for this one.
        """
        pool = self.store.changes.pool
        while True:
            async with pool.using(address.page_id, "heap", "exclusive") as frame:
                record = frame.page[address.slot]
                other = version_of(record).ended_by
                if self.may_end(other):
                    change = Change("replace", address.slot, ended(record, self.number), record)
                    self.store.changes.update(self.trail, frame, change)
                    return
            if other not in self.store.changes.trails:
                raise SerializationError(f"transaction {self.number}: {other} has changed the row, and was committed")
            await self.store.wait_for(self.number, other)

    def may_end(self, other: int) -> bool:
        """Whether a version that ``other`` has ended, 0 for none, may be ended by this transaction."""
        return not other

    async def _claim_key(self, table: Table, index: Index, row: Row) -> None:
        """Have the key of a unique index for this transaction alone.

        Raises:
            DuplicateKeyError: another row has it.
        """
        key = index.key(row)
        # Writers of one key queue here at every level; readers take such locks under 2pl only, where they have to.
        await self.store.locks.acquire(self.number, (table.name, index.name, key), "X")
        for entry in await index.tree.scan(key, end_of(key)):
            while True:
                record = await table.heap.get(address_in(entry))
                if record is None:
                    break
                version = version_of(record)
                going_on = {version.made_by, version.ended_by} & self.store.changes.trails.keys() - {self.number}
                if not going_on:
                    if not version.ended_by and index.key(version.row) == key:
                        raise DuplicateKeyError(f"table {table.name}, index {index.name}: there is {version.row}")
                    break
                await self.store.wait_for(self.number, min(going_on))

    # The end.

    def _check(self) -> None:
        if self.marks is not None:
            self.store.conflicts.check(self.marks)

    async def commit(self) -> None:
        """Make all of it happen; it has happened, durably, when this returns.

        Raises:
            SerializationError: it has to be rolled back instead.
        """
        store, changes = self.store, self.store.changes
        if self.marks is not None:
            store.conflicts.prepare(self.marks)
        if self.trail.last:
            await self.make_durable(changes.commit(self.trail))
        changes.end(self.trail)
        if self.marks is not None:
            store.conflicts.commit(self.marks)
        self._ended()

    async def make_durable(self, lsn: int) -> None:
        """Wait until the commitment is in the log, on the disk; and on that of a replica, if that is wanted."""
        await self.store.changes.log.flush(lsn, self.store.group_commit_delay)
        if self.store.replicated is not None:
            await self.store.replicated(lsn)

    async def roll_back(self) -> None:
        """Take all of it back."""
        await self.store.changes.roll_back(self.trail)
        if self.marks is not None:
            self.store.conflicts.abort(self.marks)
        self._ended()

    def _ended(self) -> None:
        self.store.locks.release_all(self.number)
        del self.store.horizons[self.number]
        self.store.ends.pop(self.number).set()


async def _all(pages: AsyncGenerator[list[Found], None]) -> list[Found]:
    async with aclosing(pages):
        return [one async for page in pages for one in page]
