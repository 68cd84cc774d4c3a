"""How nodes of a tree look, and how a full one is split. Nothing here waits or logs.

A leaf has entries in order, and the number of the leaf to its right. A record of an inner node is the number of a child
and the *separator*: no entry below the child is less than it. The first separator is empty.

The root keeps its number: when it splits, its content moves to two new children.

Source: Comer, "The ubiquitous B-tree", ACM Computing Surveys 1979.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate

from detrun_scenarios.database.storage.page import INNER, NO_PAGE, Page

_CHILD = struct.Struct(">I")


def entry_bytes_max(page_bytes: int) -> int:
    """The longest entry, so that after a split each half has room for another one."""
    return page_bytes // 5


def child_record(page_id: int, separator: bytes) -> bytes:
    """The record of an inner node."""
    return _CHILD.pack(page_id) + separator


def child_of(record: bytes) -> int:
    """The child that a record of an inner node leads to."""
    page_id: int = _CHILD.unpack_from(record)[0]
    return page_id


def separator_of(record: bytes) -> bytes:
    """What no entry below the child is less than."""
    return record[_CHILD.size :]


def position(page: Page, entry: bytes) -> int:
    """The slot of the first entry of a leaf that is not less."""
    return bisect_left(range(page.slots), entry, key=page.__getitem__)


def child_for(page: Page, entry: bytes) -> int:
    """The child of an inner node below which an entry is, or would be."""
    return child_of(page[child_slot(page, entry)])


def child_slot(page: Page, entry: bytes) -> int:
    """Its slot."""
    return bisect_right(range(page.slots), entry, 1, key=lambda slot: separator_of(page[slot])) - 1


def child_before(page: Page, entry: bytes) -> tuple[int, bytes]:
    """The child of an inner node below which are entries that are just less than one, and its separator."""
    record = page[bisect_left(range(page.slots), entry, 1, key=lambda slot: separator_of(page[slot])) - 1]
    return child_of(record), separator_of(record)


def has_room(page: Page, entry: bytes) -> bool:
    """Whether a node takes another record, whatever comes: an entry, or the longest separator with its child."""
    if page.kind == INNER:
        return page.has_room(entry_bytes_max(len(page.data)) + _CHILD.size)
    return page.has_room(len(entry))


@dataclass(slots=True)
class Node:
    """What a node will be.

    Attributes:
        page_id: its number; that of a new node is given later.
        following: the leaf to its right.
    """

    kind: int
    records: list[bytes]
    following: int = NO_PAGE
    page_id: int = NO_PAGE

    def write_to(self, page: Page) -> None:
        """Make a page this node; its LSN stays."""
        made = Page.new(self.kind, len(page.data))
        made.next, made.lsn = self.following, page.lsn
        for slot, record in enumerate(self.records):
            made.insert_at(slot, record)
        page.data[:] = made.data


def node_of(page: Page, page_id: int) -> Node:
    """What a node is."""
    return Node(page.kind, [record for _, record in page.records()], page.next, page_id)


@dataclass(slots=True)
class Split:
    """Nodes along one path from an ancestor that has room, or the root, down to a full leaf, and how they are split.

    Args:
        path: the nodes, from above; all but the first have no room.
        is_root: the first is the root and has no room.

    Attributes:
        changed: page -> what it is from now on; filled in by `carry_out`.
    """

    path: list[Node]
    is_root: bool
    changed: dict[int, Node] = field(default_factory=dict)

    def new_nodes(self) -> int:
        """How many new nodes it takes."""
        return len(self.path) + 1 if self.is_root else len(self.path) - 1

    def carry_out(self, new_ids: Iterable[int]) -> None:
        """Split them.

        Args:
            new_ids: numbers for new nodes, as many as `new_nodes` says.
        """
        ids = iter(new_ids)
        for place in range(len(self.path) - 1, 0, -1):
            node, parent = self.path[place], self.path[place - 1]
            right, separator = _halve(node, next(ids))
            self.changed[node.page_id], self.changed[right.page_id] = node, right
            slot = next(slot for slot, one in enumerate(parent.records) if child_of(one) == node.page_id)
            parent.records.insert(slot + 1, child_record(right.page_id, separator))
        top = self.path[0]
        self.changed[top.page_id] = top
        if self.is_root:
            left = Node(top.kind, top.records, top.following, next(ids))
            right, separator = _halve(left, next(ids))
            top.kind, top.following = INNER, NO_PAGE
            top.records = [child_record(left.page_id, b""), child_record(right.page_id, separator)]
            self.changed[left.page_id], self.changed[right.page_id] = left, right


def _halve(node: Node, new_id: int) -> tuple[Node, bytes]:
    """Move the upper half of a node, by bytes, into a new one; with the separator between the two."""
    sizes = list(accumulate(map(len, node.records)))
    middle = next(slot for slot, size in enumerate(sizes) if 2 * size >= sizes[-1]) + 1
    middle = min(max(middle, 1), len(node.records) - 1)
    upper, node.records = node.records[middle:], node.records[:middle]
    separator = upper[0]
    if node.kind == INNER:
        separator = separator_of(separator)
        upper[0] = child_record(child_of(upper[0]), b"")
    right = Node(node.kind, upper, node.following, new_id)
    if node.kind != INNER:
        node.following = new_id
    return right, separator
