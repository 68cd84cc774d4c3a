"""`shrink`: neighbours in a tree that have become small are made one node, and a root with one child takes its place.

It goes down to an entry with exclusive latches, parent before child, as all do. Where the node below and a neighbour
fill no more than half a page, or one of them is empty, the left one takes what the right one has, and the right one is
free: all in one record of the log, which belongs to no transaction. Only half, so that the next entry splits nothing.

The right one keeps its content and its link. A scan that was on its way there finds what it would have found; who comes
later does not get there, for its parent does not lead to it any more. Nodes of one parent only are made one.
"""

from __future__ import annotations

from detrun_scenarios.database.storage.buffer import Frame
from detrun_scenarios.database.storage.page import FREE, INNER, Page
from detrun_scenarios.database.tree.btree import Tree
from detrun_scenarios.database.tree.splits import Node, child_of, child_record, child_slot, node_of, separator_of


def is_small(page: Page) -> bool:
    """Whether a node may be worth a try."""
    return 2 * page.free_bytes >= len(page.data)


async def shrink(tree: Tree, entry: bytes) -> int:
    """Make nodes one on the way to an entry, as long as there are some; how many pages are free for it."""
    freed = 0
    while count := await _shrink_once(tree, entry):
        freed += count
    return freed


async def _shrink_once(tree: Tree, entry: bytes) -> int:
    pool, freed = tree.pool, 0
    node = await pool.acquire(tree.root, "index", "exclusive")
    while node.page.kind == INNER:
        if node.page_id == tree.root and node.page.slots == 1:
            child = await pool.acquire(child_of(node.page[0]), "index", "exclusive")
            node_of(child.page, child.page_id).write_to(node.page)
            _log(tree, [child, node])
            pool.release(child, "exclusive")
            freed += 1
            continue
        slot = child_slot(node.page, entry)
        for left in (slot, slot - 1):
            if 0 <= left < node.page.slots - 1 and await _unite(tree, node, left):
                freed, slot = freed + 1, left
                break
        child = await pool.acquire(child_of(node.page[slot]), "index", "exclusive")
        pool.release(node, "exclusive")
        node = child
    pool.release(node, "exclusive")
    return freed


async def _unite(tree: Tree, parent: Frame, slot: int) -> bool:
    """Move all of the child after the one at a slot into that one, if both are small; whether they were."""
    pool = tree.pool
    left = await pool.acquire(child_of(parent.page[slot]), "index", "exclusive")
    right = await pool.acquire(child_of(parent.page[slot + 1]), "index", "exclusive")
    fit = _fit(left.page, right.page)
    if fit:
        above, together = node_of(parent.page, parent.page_id), node_of(left.page, left.page_id)
        separator = separator_of(above.records.pop(slot + 1))
        _append(together, node_of(right.page, right.page_id), separator)
        together.write_to(left.page)
        above.write_to(parent.page)
        _log(tree, [right, left, parent])
    pool.release(right, "exclusive")
    pool.release(left, "exclusive")
    return fit


def _fit(left: Page, right: Page) -> bool:
    if not left.slots or not right.slots:
        return True
    empty = Page.new(left.kind, len(left.data)).free_bytes
    return 4 * empty - 2 * left.free_bytes - 2 * right.free_bytes <= empty


def _append(left: Node, right: Node, separator: bytes) -> None:
    records = list(right.records)
    if right.kind == INNER:
        records[0] = child_record(child_of(records[0]), separator)
    left.records += records
    left.following = right.following


def _log(tree: Tree, frames: list[Frame]) -> None:
    """The first is free from now on, and the others are what they have become."""
    frames[0].page.kind = FREE
    tree.changes.restructured("index", frames)
