"""`leaves_backward`: a range of a tree from its end.

Leaves have no links to the left: a node to the left may have been split since, and then a link would pass over a half.
So each leaf is found by a descent of its own, for what is less than all that was read: the greatest separator on the
way down to a leaf bounds its entries from below, also after the leaf was split or united with another.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from detrun_scenarios.database.storage.buffer import Frame
from detrun_scenarios.database.storage.page import INNER
from detrun_scenarios.database.tree.btree import Tree
from detrun_scenarios.database.tree.splits import child_before, position


async def leaves_backward(tree: Tree, low: bytes, high: bytes) -> AsyncGenerator[tuple[int, list[bytes]], None]:
    """As `Tree.leaves`, from the end: the last leaf first, and of each the last entry first."""
    while True:
        leaf, floor = await _leaf_before(tree, high)
        begin, end = position(leaf.page, max(low, floor)), position(leaf.page, high)
        entries = [leaf.page[slot] for slot in range(end - 1, begin - 1, -1)]
        tree.pool.release(leaf, "shared")
        yield leaf.page_id, entries
        if floor <= low:
            return
        high = floor


async def _leaf_before(tree: Tree, entry: bytes) -> tuple[Frame, bytes]:
    """The leaf, latched, of what is just less than an entry; and the lower bound of that leaf."""
    pool, floor = tree.pool, b""
    frame = await pool.acquire(tree.root, "index", "shared")
    while frame.page.kind == INNER:
        page_id, separator = child_before(frame.page, entry)
        child = await pool.acquire(page_id, "index", "shared")
        pool.release(frame, "shared")
        frame, floor = child, separator or floor
    return frame, floor
