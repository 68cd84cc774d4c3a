"""`History`: which versions of rows transactions have read and written, and whether any order explains that.

`NotedTransaction` notes what a transaction does, whatever its level and its mistakes: the version of each row that it
was shown, each version that it has made, and where it has looked for rows. The dependencies among transactions follow
from that alone, and their cycles are found by `detrun.serializable`, which names the anomaly. Every row is made by a
noted transaction, the first ones included.

A look for rows depends on those that were not there, too: each transaction that has brought a row into what was
looked at, or has taken one out of it, comes before the look if it was known to the snapshot, and after it otherwise.

Numbers of transactions are given again after a crash if nothing of theirs came into the log, so each start of the
server is an *epoch*. How those ended that were committing at a crash is said by `durability`.

Source: Adya, "Weak consistency", PhD thesis, MIT 1999, sections 3.1 (versions), 3.2 (predicates), 4.2 (phenomena).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import ClassVar, Final, NamedTuple

import detrun
from detrun.checkers.serializability import Serializability, serializable
from detrun.checkers.transactions import ABORTED, COMMITTED, UNDECIDED, noted_place
from detrun.checkers.transactions import Place as WhereNoted
from detrun.checkers.transactions import Transaction as InHistory
from detrun_scenarios.database.transactions.store import Store
from detrun_scenarios.database.transactions.table import Index, Table
from detrun_scenarios.database.transactions.transaction import Found, Level, Transaction
from detrun_scenarios.database.transactions.versions import Row, Snapshot, Version
from detrun_scenarios.database.tree.keys import Address

SERIALIZABLE: Final = "serializable history"
TOLERATED: dict[Level, tuple[str | None, ...]] = {"snapshot": (None, "G2"), "serializable": (None,), "2pl": (None,)}
"""What may be found at a level. Snapshot isolation excludes all cycles but those with two anti-dependencies, and the
checker calls a cycle so only if there is none with fewer."""


class Place(NamedTuple):
    """A version: whose, and where it lies."""

    number: int
    address: Address


class Made(NamedTuple):
    """What a transaction has made of a row.

    Attributes:
        key: of the row, for reports, the same for all its versions.
        version: counts up over all rows.
        exists: False if it has deleted the row.
    """

    key: str
    version: int
    exists: bool


@dataclass(frozen=True, slots=True)
class Look:
    """A search for rows: in a range of an index, or in the whole table."""

    table: str
    index: Index | None
    low: bytes
    high: bytes
    snapshot: Snapshot

    def would_show(self, change: Membership) -> bool:
        """Whether rows that came and went are of those that were looked for."""
        if change.table != self.table:
            return False
        if self.index is None:
            return (change.before is None) != (change.after is None)
        before, after = change.keys_in(self.index)
        return before != after and any(key is not None and self.low <= key < self.high for key in (before, after))


@dataclass(frozen=True, slots=True)
class Membership:
    """A row before and after what a transaction did to it; None if there was or is none.

    Attributes:
        known: its keys in indexes, by the name of the index: each look at that index asks for them.
    """

    table: str
    before: Row | None
    after: Row | None
    known: dict[str, tuple[bytes | None, bytes | None]] = field(default_factory=dict)

    def keys_in(self, index: Index) -> tuple[bytes | None, bytes | None]:
        """The keys of both in an index of the table."""
        found = self.known.get(index.name)
        if found is None:
            before, after = (None if row is None else index.key(row) for row in (self.before, self.after))
            found = self.known[index.name] = before, after
        return found


@dataclass(slots=True, eq=False)
class Noted:
    """One transaction: what was noted of it.

    Attributes:
        promised: where it was taken to be durable.
    """

    number: int
    epoch: int
    began: int
    outcome: str = UNDECIDED
    ended: int | None = None
    promised: WhereNoted | None = None
    noted: InHistory = field(init=False)  # what is known of it by itself
    made: list[Made] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    changes: list[Membership] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.noted = InHistory(self.name, self.began)

    @property
    def name(self) -> str:
        """For reports."""
        return f"T{self.number}" + (f" of start {self.epoch + 1}" if self.epoch else "")

    def in_history(self) -> InHistory:
        """It and how it ended, to be completed by what follows from others."""
        one = self.noted
        return replace(one, operations=[*one.operations], places=[*one.places], ended=self.ended, outcome=self.outcome)

    def is_known_to(self, other: Noted, snapshot: Snapshot) -> bool:
        """Whether a snapshot that another one took has what this one did."""
        return self.epoch < other.epoch or (self.epoch == other.epoch and snapshot.knows(self.number))


class History:
    """See the module. It outlives the server, and is one for a run."""

    def __init__(self) -> None:
        self.transactions: list[Noted] = []
        self.epoch = 0
        self._versions = count(1)
        self._made: dict[Place, Made] = {}
        self._moments = count(1)

    def __iter__(self) -> Iterator[Noted]:
        return iter(self.transactions)

    def begin(self, number: int) -> Noted:
        """A transaction begins."""
        one = Noted(number, self.epoch, next(self._moments))
        self.transactions.append(one)
        return one

    def end(self, one: Noted, outcome: str) -> None:
        """It has ended."""
        one.outcome, one.ended = outcome, next(self._moments)

    def at(self, made_by: int, address: Address) -> Made | None:
        """The newest version that a transaction of that number has put there; None if none was noted."""
        return self._made.get(Place(made_by, address))

    def put(self, one: Noted, key: str, address: Address) -> None:
        """A new version of a row lies there."""
        made = self._write(one, key, exists=True)
        self._made[Place(one.number, address)] = made

    def delete(self, one: Noted, key: str) -> None:
        """A row is there no more."""
        self._write(one, key, exists=False)

    def changed(self, one: Noted, table: Table, before: Row | None, after: Row | None) -> None:
        """A row has become another one, which may be found in other places."""
        if before is None or after is None or [*table.resources(before)] != [*table.resources(after)]:
            one.changes.append(Membership(table.name, before, after))

    def _write(self, one: Noted, key: str, *, exists: bool) -> Made:
        made = Made(key, next(self._versions), exists)
        one.made.append(made)
        one.noted.write(key, made.version)
        return made

    # Checking.

    def dependencies(self) -> Serializability:
        """Whether an order explains it all, and if not, which dependencies contradict each other."""
        transactions = {one: one.in_history() for one in self.transactions}
        changes = [(one, change) for one in self.transactions for change in one.changes if one.outcome != ABORTED]
        for reader, noted in transactions.items():
            for look in reader.looks:
                for writer, change in changes:
                    if writer is not reader and look.would_show(change):
                        key = f"{look.table}, rows that {writer.name} {_verb(change)}"
                        _write_once(transactions[writer], key, writer)
                        version = writer.began if writer.is_known_to(reader, look.snapshot) else None
                        noted.operations.append(("read", key, version))
        return serializable(transactions.values())

    def check(self, level: Level) -> None:
        """Fail the run unless the history is one that a level allows.

        Raises:
            AssertionViolatedError: the anomaly and its transactions are in the message.
        """
        found = self.dependencies()
        detrun.always(found.anomaly in TOLERATED[level] or found, SERIALIZABLE, lambda: str(found))


def _verb(change: Membership) -> str:
    return "inserted" if change.before is None else "deleted" if change.after is None else "moved"


def _write_once(one: InHistory, key: str, writer: Noted) -> None:
    if ("write", key, writer.began) not in one.operations:
        one.operations.append(("write", key, writer.began))


class NotedTransaction(Transaction):
    """See the module. Made by `noted` from the class of transactions that is to be checked."""

    history: ClassVar[History]

    def __init__(self, store: Store, level: Level) -> None:
        super().__init__(store, level)
        self.noted = self.history.begin(self.number)
        self._shown: dict[Address, Made] = {}

    def _each_page(self, table: Table) -> AsyncGenerator[list[Found], None]:
        self.noted.looks.append(Look(table.name, None, b"", b"", self.snapshot))
        return super()._each_page(table)

    def _each_leaf(
        self,
        table: Table,
        index: Index,
        low: bytes,
        high: bytes,
        is_backward: bool = False,
        one_by_one: bool = False,
    ) -> AsyncGenerator[list[Found], None]:
        self.noted.looks.append(Look(table.name, index, low, high, self.snapshot))
        return super()._each_leaf(table, index, low, high, is_backward, one_by_one)

    def _look_at(self, address: Address, version: Version) -> Found | None:
        found = super()._look_at(address, version)
        made = self.history.at(version.made_by, address)
        if found is not None and made is not None:
            self._shown[address] = made
            self.noted.noted.read(made.key, made.version)
        return found

    async def insert(self, table: Table, row: Row) -> Address:
        """See `Transaction.insert`."""
        address = await super().insert(table, row)
        unique = next((index for index in table.indexes.values() if index.forbids_another(row)), None)
        # A place of the heap is used again when a vacuum has emptied it.
        named = (*address, self.noted.name) if unique is None else tuple(row[place] for place in unique.places)
        self.history.put(self.noted, f"{table.name} {', '.join(map(str, named))}", address)
        self.history.changed(self.noted, table, None, row)
        return address

    async def update(self, table: Table, found: Found, row: Row) -> Address:
        """See `Transaction.update`."""
        address = await super().update(table, found, row)
        self.history.put(self.noted, self._shown[found.address].key, address)
        self.history.changed(self.noted, table, found.row, row)
        return address

    async def delete(self, table: Table, found: Found) -> None:
        """See `Transaction.delete`."""
        await super().delete(table, found)
        self.history.delete(self.noted, self._shown[found.address].key)
        self.history.changed(self.noted, table, found.row, None)

    async def make_durable(self, lsn: int) -> None:
        """See `Transaction.make_durable`."""
        await super().make_durable(lsn)
        self.noted.promised = noted_place()

    async def commit(self) -> None:
        """See `Transaction.commit`."""
        await super().commit()
        self.history.end(self.noted, COMMITTED)
        self.history.check(self.level)

    async def roll_back(self) -> None:
        """See `Transaction.roll_back`."""
        self.history.end(self.noted, ABORTED)
        await super().roll_back()


def noted(transaction: type[Transaction], history: History) -> type[NotedTransaction]:
    """Transactions of a class, the right one or one with a planted bug, that are noted."""
    return type(f"Noted{transaction.__name__}", (NotedTransaction, transaction), {"history": history})
