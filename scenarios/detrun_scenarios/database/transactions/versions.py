"""`Version`: a row as it is in the heap, with the transactions that made it and ended it; and who sees it.

An update makes a new version and marks the old one as ended. A transaction that is taken back takes its versions out of
the heap and its marks off, physically, so that every number in a page is of a transaction that goes on, or was
committed. After a crash all of them were: the pages alone say what is committed.

Source: the headers of PostgreSQL's tuples (xmin, xmax), without its commit log, which undo makes unnecessary.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import msgpack

from detrun_scenarios.database.tree.keys import SqlValue

_HEADER = struct.Struct("<QQ")
Row: TypeAlias = tuple[SqlValue, ...]


class Version(NamedTuple):
    """One version of a row.

    Attributes:
        made_by, ended_by: numbers of transactions; 0 if it is not ended.
    """

    made_by: int
    ended_by: int
    row: Row

    def encoded(self) -> bytes:
        """As it lies in the heap."""
        payload: bytes = msgpack.packb(self.row)
        return _HEADER.pack(self.made_by, self.ended_by) + payload


def version_of(record: bytes) -> Version:
    """The version that a record of the heap is."""
    made_by, ended_by = _HEADER.unpack_from(record)
    return Version(made_by, ended_by, tuple(msgpack.unpackb(memoryview(record)[_HEADER.size :])))


def ended(record: bytes, by: int) -> bytes:
    """The same record, ended by a transaction; 0 for none."""
    return _HEADER.pack(_HEADER.unpack_from(record)[0], by) + record[_HEADER.size :]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was committed at a moment.

    Attributes:
        own: the transaction that looks; it sees what it has done itself.
        active: transactions that went on then.
        next_number: all from there on began later.
    """

    own: int
    active: frozenset[int]
    next_number: int

    def knows(self, number: int) -> bool:
        """Whether what a transaction has done is seen."""
        return number == self.own or (number < self.next_number and number not in self.active)

    def sees(self, version: Version) -> bool:
        """Whether a version is the one to be seen of its row, or its row is not there."""
        return self.knows(version.made_by) and not (version.ended_by and self.knows(version.ended_by))

    @property
    def horizon(self) -> int:
        """All transactions before it are known."""
        return min(self.active - {self.own}, default=self.next_number)
