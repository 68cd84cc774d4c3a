"""A split latches a leaf before the nodes above it, and all others come from above (Bayer and Schkolnick 1977)."""

from __future__ import annotations

from detrun_scenarios.database.storage.buffer import Frame
from detrun_scenarios.database.tree.btree import Tree
from detrun_scenarios.database.tree.splits import child_for, has_room


class LatchOrder(Tree):
    """Keeps the full leaf, and goes up from there as far as nodes have no room."""

    async def _split_leaf(self, leaf: Frame, entry: bytes) -> Frame:
        """See `Tree._split_leaf`."""
        path = [leaf]  # right: release the leaf, and take the path from above
        while path[0].page_id != self.root and not has_room(path[0].page, entry):
            path.insert(0, await self._node_above(path[0], entry))
        return await self._split(path, entry)

    async def _node_above(self, child: Frame, entry: bytes) -> Frame:
        pool = self.pool
        node = await pool.acquire(self.root, "index", "exclusive")
        while child_for(node.page, entry) != child.page_id:
            below = await pool.acquire(child_for(node.page, entry), "index", "exclusive")
            pool.release(node, "exclusive")
            node = below
        return node
