"""The records of the log, and the changes of pages that they tell of.

A record lies in the log with a checksum and a length before it; its LSN is where it begins. Every record of a
transaction names the one before it (`previous`, 0 for none), so that undo walks back.

`Update` and `Compensation` change one page, *physiologically*: the page by its number, the inside by slots. Both can be
redone; an update can be undone as well. An entry of a tree may have moved to another page since, so that it is undone
by the tree (`tree` is its root, `NO_TREE` for a heap). `Structure` puts whole pages in place at once, as a split does;
it belongs to no transaction and is never undone: half a split is in no log.

Source: Mohan et al., "ARIES", ACM TODS 1992, sections 3 and 6.1; logical undo of trees is that of ARIES/IM (1992).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import msgpack

from detrun_scenarios.database.storage.buffer import Area
from detrun_scenarios.database.storage.page import Page

NO_TREE = -1
_HEADER = struct.Struct("<II")  # checksum, bytes of the payload

Operation: TypeAlias = Literal["put", "delete", "replace", "insert", "remove"]
_OPPOSITE: dict[Operation, Operation] = {
    "put": "delete",
    "delete": "put",
    "replace": "replace",
    "insert": "remove",
    "remove": "insert",
}


class Change(NamedTuple):
    """One change inside a page.

    Attributes:
        operation: ``put``, ``delete`` and ``replace`` leave other slots alone; ``insert`` and ``remove`` move them.
        new, old: the record of the slot after and before.
    """

    operation: Operation
    slot: int
    new: bytes = b""
    old: bytes = b""

    def apply(self, page: Page) -> None:
        """Make it."""
        match self.operation:
            case "put":
                page.put(self.slot, self.new)
            case "delete":
                page.delete(self.slot)
            case "replace":
                page.replace(self.slot, self.new)
            case "insert":
                page.insert_at(self.slot, self.new)
            case "remove":
                page.remove_at(self.slot)

    def reversed(self) -> Change:
        """The change that takes it back."""
        return Change(_OPPOSITE[self.operation], self.slot, self.old, self.new)


class Update(NamedTuple):
    """A transaction has changed a page.

    Attributes:
        image: the page after the change, if it was the first one since the page was written.
    """

    transaction: int
    previous: int
    page_id: int
    tree: int
    change: Change
    image: bytes | None


class Compensation(NamedTuple):
    """A change was taken back; undo goes on at ``undo_next``. Never undone itself."""

    transaction: int
    previous: int
    page_id: int
    tree: int
    change: Change
    image: bytes | None
    undo_next: int


class Removal(NamedTuple):
    """Versions that all snapshots pass over, or entries of them, are removed for good, outside of any transaction.

    Attributes:
        horizon: all transactions before it are known to those who may still read.
    """

    page_id: int
    tree: int
    changes: tuple[Change, ...]
    image: bytes | None
    horizon: int


class Structure(NamedTuple):
    """Pages that have changed together: page -> what it is now."""

    area: Area
    images: Mapping[int, bytes]


class Commit(NamedTuple):
    """A transaction has happened, once this record is durable."""

    transaction: int
    previous: int


class End(NamedTuple):
    """All is done for a transaction: it was committed, or every change of it is taken back."""

    transaction: int
    previous: int


class Checkpoint(NamedTuple):
    """What was going on: no page is written for it, so that it is *fuzzy*.

    Attributes:
        transactions: those that go on -> their first and their last record, and whether they are committed.
        dirty_pages: page -> the position from which redo must look at it.
        next_transaction: a number that none has had.
        free_pages: those that belong to nothing, with their areas.
    """

    transactions: Mapping[int, tuple[int, int, bool]]
    dirty_pages: Mapping[int, int]
    next_transaction: int
    free_pages: Mapping[int, Area]


Record: TypeAlias = Update | Compensation | Structure | Commit | End | Checkpoint | Removal
PageRecord: TypeAlias = Update | Compensation | Removal

_KINDS: tuple[type[Record], ...] = (Update, Compensation, Structure, Commit, End, Checkpoint, Removal)
_CODES = {kind: code for code, kind in enumerate(_KINDS)}


def area_of(record: PageRecord) -> Area:
    """Where the page of a record belongs."""
    return "heap" if record.tree == NO_TREE else "index"


def encoded(record: Record) -> bytes:
    """A record as it lies in the log."""
    payload: bytes = msgpack.packb([_CODES[type(record)], *record])
    return _HEADER.pack(zlib.crc32(payload), len(payload)) + payload


def _decoded(payload: bytes) -> Record:
    code, *fields = msgpack.unpackb(payload, strict_map_key=False)
    kind = _KINDS[code]
    if kind is Update or kind is Compensation:
        fields[4] = Change(*fields[4])
    elif kind is Removal:
        fields[2] = tuple(Change(*change) for change in fields[2])
    elif kind is Checkpoint:
        fields[0] = {number: tuple(state) for number, state in fields[0].items()}
    make: Any = kind
    record: Record = make(*fields)
    return record


class Placed(NamedTuple):
    """A record, where it begins, and where the next one does."""

    lsn: int
    record: Record
    end: int


class Piece(NamedTuple):
    """A record as it lies in the log, and where it begins."""

    lsn: int
    data: bytes

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.lsn + len(self.data)


def records_in(data: bytes, base: int) -> Iterator[Placed]:
    """The records of a part of the log that begins at ``base``, up to the first that is not whole."""
    for piece in pieces_in(data, base):
        yield Placed(piece.lsn, _decoded(piece.data[_HEADER.size :]), piece.end)


def pieces_in(data: bytes, base: int) -> Iterator[Piece]:
    """The same records, as they lie there."""
    position = 0
    while position + _HEADER.size <= len(data):
        checksum, length = _HEADER.unpack_from(data, position)
        begin = position + _HEADER.size
        payload = data[begin : begin + length]
        if not length or len(payload) < length or zlib.crc32(payload) != checksum:
            return
        yield Piece(base + position, data[position : begin + length])
        position = begin + length
