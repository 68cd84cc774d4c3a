"""`Table` and `Index`: where the rows of a table lie, and the trees by which they are found."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from detrun_scenarios.database.transactions.heap import Heap
from detrun_scenarios.database.transactions.versions import Row
from detrun_scenarios.database.tree.btree import Tree
from detrun_scenarios.database.tree.keys import encoded_key


@dataclass(frozen=True, slots=True)
class Index:
    """A tree over some columns.

    Attributes:
        places: of the columns in a row.
        is_unique: no two rows have the same key, unless one of its values is NULL.
    """

    name: str
    places: tuple[int, ...]
    tree: Tree
    is_unique: bool = False

    def key(self, row: Row) -> bytes:
        """Of a row."""
        return encoded_key([row[place] for place in self.places])

    def forbids_another(self, row: Row) -> bool:
        """Whether there may be no second row with the key of this one."""
        return self.is_unique and all(row[place] is not None for place in self.places)


@dataclass(frozen=True, slots=True)
class Table:
    """A table."""

    name: str
    columns: tuple[str, ...]
    heap: Heap
    indexes: dict[str, Index] = field(default_factory=dict)

    @property
    def resource(self) -> Hashable:
        """The whole table, for locks and conflicts."""
        return self.name

    def resources(self, row: Row) -> Iterator[Hashable]:
        """The keys by which a row is found."""
        for index in self.indexes.values():
            yield self.name, index.name, index.key(row)

    def beginnings(self, row: Row) -> Iterator[Hashable]:
        """The beginnings of these keys, of whole values, within which ranges are read that the row may be in."""
        for index in self.indexes.values():
            prefix = b""
            for place in index.places[:-1]:
                prefix += encoded_key([row[place]])
                yield self.name, index.name, prefix
