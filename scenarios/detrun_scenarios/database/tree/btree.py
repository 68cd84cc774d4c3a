"""`Tree`: a B+-tree of entries (`keys`) on pages, for tasks that search and change it at the same time.

Latches go from parent to child, and from a leaf to none but new pages, so that they cannot deadlock. A search holds a
node until it has the latch of the child (*crabbing*). A change is optimistic first: shared latches down to the leaf,
which it takes exclusively while it holds the parent, since no leaf splits without its parent. If the leaf is full it
goes down again with exclusive latches, and keeps those from the last node that has room: these will be changed.

A split is one record of the log, over all pages that it changes, and belongs to no transaction; then the entry goes
into the half where it belongs, for its transaction. Undo searches the entry again. Nodes that have become small are
made one by `merges`.

Tasks here are not cancelled, they end with their process: a latch that is left behind would stay.

A range is read leaf by leaf, each copied under its latch. A leaf to the right may be reached without the latch of its
neighbour: what a split moves in between was copied before, and a page that goes away stays as it was until no
transaction that could be on its way there goes on (`storage.free_pages`).

Sources: Bayer and Schkolnick, Acta Informatica 1977 (descents); Lehman and Yao, ACM TODS 1981 (links to the right).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

from detrun_scenarios.database.log.changes import Changes, Trail
from detrun_scenarios.database.log.records import Change, Update
from detrun_scenarios.database.storage.buffer import BufferPool, Frame
from detrun_scenarios.database.storage.latch import Mode
from detrun_scenarios.database.storage.page import INNER, LEAF, NO_PAGE, Page
from detrun_scenarios.database.tree.splits import (
    Split,
    child_for,
    child_of,
    entry_bytes_max,
    has_room,
    node_of,
    position,
    separator_of,
)


class Tree:
    """See the module.

    Args:
        root: the page of the root, which never changes.
    """

    def __init__(self, changes: Changes, root: int) -> None:
        self.changes = changes
        self.root = root

    @property
    def pool(self) -> BufferPool:
        """Where its pages are."""
        return self.changes.pool

    # Searching.

    async def leaves(self, low: bytes, high: bytes) -> AsyncGenerator[tuple[int, list[bytes]], None]:
        """Each leaf that may have entries from ``low`` up to ``high``, excluded, and those of them that it has."""
        leaf = await self._leaf(low, "shared")
        while True:
            begin, end = position(leaf.page, low), position(leaf.page, high)
            entries = [leaf.page[slot] for slot in range(begin, end)]
            page_id, following, is_last = leaf.page_id, leaf.page.next, end < leaf.page.slots
            self.pool.release(leaf, "shared")
            yield page_id, entries
            if is_last or following == NO_PAGE:
                return
            leaf = await self.pool.acquire(following, "index", "shared")

    async def scan(self, low: bytes, high: bytes) -> list[bytes]:
        """The entries from ``low`` up to ``high``, excluded."""
        found: list[bytes] = []
        async with aclosing(self.leaves(low, high)) as leaves:
            async for _, entries in leaves:
                found += entries
        return found

    # Changing.

    async def insert(self, trail: Trail, entry: bytes) -> bool:
        """Put an entry in; False if it is there.

        Raises:
            ValueError: it is too long for a page.
        """
        longest = entry_bytes_max(self.pool.volume.page_bytes)
        if len(entry) > longest:
            raise ValueError(f"an entry of {len(entry)} bytes is too long; pages take {longest}")
        async with self._leaf_with_room(entry) as leaf:
            slot = position(leaf.page, entry)
            if leaf.page.get(slot) == entry:
                return False
            self.changes.update(trail, leaf, Change("insert", slot, entry), self.root)
            return True

    async def delete(self, trail: Trail, entry: bytes) -> bool:
        """Take an entry out; False if it is not there."""
        leaf = await self._leaf(entry, "exclusive")
        slot = position(leaf.page, entry)
        is_there = leaf.page.get(slot) == entry
        if is_there:
            self.changes.update(trail, leaf, Change("remove", slot, old=entry), self.root)
        self.pool.release(leaf, "exclusive")
        return is_there

    async def remove(self, entries: Sequence[bytes], horizon: int, is_small: Callable[[Page], bool]) -> list[bytes]:
        """Take entries out for good, those that are there; one of them for each leaf that is small then.

        Args:
            entries: in order.
            horizon: see `Removal`.
        """
        small, place = list[bytes](), 0
        while place < len(entries):
            leaf = await self._leaf(entries[place], "exclusive")
            page, gone, first = leaf.page, list[Change](), place
            while place < len(entries) and (place == first or (page.slots and entries[place] <= page[page.slots - 1])):
                slot = position(page, entries[place])
                if page.get(slot) == entries[place]:
                    gone.append(Change("remove", slot, old=entries[place]))
                place += 1
            if gone:
                self.changes.remove(leaf, tuple(reversed(gone)), self.root, horizon)
                if is_small(page):
                    small.append(entries[first])
            self.pool.release(leaf, "exclusive")
        return small

    async def undo(self, trail: Trail, record: Update) -> None:
        """Take a change of an entry back, wherever the entry is by now."""
        change = record.change
        if change.operation == "insert":
            leaf = await self._leaf(change.new, "exclusive")
            slot = position(leaf.page, change.new)
            assert leaf.page[slot] == change.new
            self.changes.compensate(trail, leaf, Change("remove", slot, old=change.new), record)
            self.pool.release(leaf, "exclusive")
            return
        async with self._leaf_with_room(change.old) as leaf:
            slot = position(leaf.page, change.old)
            self.changes.compensate(trail, leaf, Change("insert", slot, change.old), record)

    # Descents.

    async def _leaf(self, entry: bytes, mode: Mode) -> Frame:
        """The leaf for an entry, latched in that mode; shared latches on the way."""
        pool = self.pool
        while True:
            parent: Frame | None = None
            frame = await pool.acquire(self.root, "index", "shared")
            while frame.page.kind == INNER:
                child = await pool.acquire(child_for(frame.page, entry), "index", "shared")
                if parent is not None:
                    pool.release(parent, "shared")
                parent, frame = frame, child
            if mode == "exclusive":
                # The parent, or nothing if this is the root, keeps it from being split meanwhile.
                pool.release(frame, "shared")
                frame = await pool.acquire(frame.page_id, "index", "exclusive")
            if parent is not None:
                pool.release(parent, "shared")
            if frame.page.kind == LEAF:
                return frame
            pool.release(frame, mode)

    @asynccontextmanager
    async def _leaf_with_room(self, entry: bytes) -> AsyncIterator[Frame]:
        """The leaf for an entry, latched exclusively, with room for it."""
        leaf = await self._leaf(entry, "exclusive")
        if not has_room(leaf.page, entry):
            leaf = await self._split_leaf(leaf, entry)
        try:
            yield leaf
        finally:
            self.pool.release(leaf, "exclusive")

    async def _split_leaf(self, leaf: Frame, entry: bytes) -> Frame:
        """Split the leaf, which is latched and full, and what else has to be; the leaf for the entry, latched."""
        self.pool.release(leaf, "exclusive")
        path = await self._path(entry)
        return await self._split(path, entry)

    async def _path(self, entry: bytes) -> list[Frame]:
        """The nodes down to the leaf from the last one that has room, or the root, all latched exclusively."""
        pool = self.pool
        path = [await pool.acquire(self.root, "index", "exclusive")]
        while path[-1].page.kind == INNER:
            child = await pool.acquire(child_for(path[-1].page, entry), "index", "exclusive")
            if has_room(child.page, entry):
                while path:
                    pool.release(path.pop(), "exclusive")
            path.append(child)
        return path

    async def _split(self, path: list[Frame], entry: bytes) -> Frame:
        """Split all nodes of a path but the first, and that too if it is the root and full."""
        pool, leaf = self.pool, path[-1]
        top = path[0]
        if not has_room(leaf.page, entry):
            is_root = top.page_id == self.root and not has_room(top.page, entry)
            split = Split([node_of(frame.page, frame.page_id) for frame in path], is_root)
            frames = {frame.page_id: frame for frame in path}
            new: list[Frame] = []
            for _ in range(split.new_nodes()):
                frame = await self.changes.new_page("index", LEAF)
                await pool.latch(frame, "exclusive")
                new.append(frame)
            split.carry_out(frame.page_id for frame in new)
            frames |= {frame.page_id: frame for frame in new}
            for page_id, node in split.changed.items():
                node.write_to(frames[page_id].page)
            self.changes.restructured("index", [frames[page_id] for page_id in split.changed])
            path += new
            leaves = sorted((frame for frame in path if frame.page.kind == LEAF), key=lambda frame: frame.page[0])
            leaf = next((frame for frame in reversed(leaves) if frame.page[0] <= entry), leaves[0])
        for frame in path:
            if frame is not leaf:
                pool.release(frame, "exclusive")
        return leaf

    # Making one.

    @classmethod
    async def create(cls, changes: Changes) -> Tree:
        """An empty tree on a new page."""
        frame = await changes.new_page("index", LEAF)
        changes.restructured("index", [frame])
        changes.pool.unpin(frame)
        return cls(changes, frame.page_id)

    async def _check(self) -> int:
        """Raise AssertionError unless the tree is one, while no task works on it; how many entries it has."""
        count, leftmost = await self._check_below(self.root, b"", None)
        last, entries, page_id = b"", 0, leftmost
        while page_id != NO_PAGE:
            async with self.pool.using(page_id, "index", "shared") as leaf:
                for _, entry in leaf.page.records():
                    assert entry > last or not entries
                    last, entries = entry, entries + 1
                page_id = leaf.page.next
        assert entries == count
        return count

    async def _check_below(self, page_id: int, low: bytes, high: bytes | None) -> tuple[int, int]:
        """Entries below a node, and its leftmost leaf; all entries are from ``low`` up to ``high``."""
        async with self.pool.using(page_id, "index", "shared") as frame:
            node = node_of(frame.page, page_id)
        if node.kind == LEAF:
            assert all(low <= one and (high is None or one < high) for one in node.records)
            return len(node.records), page_id
        count, leftmost = 0, NO_PAGE
        separators = [separator_of(one) or low for one in node.records]
        assert separators == sorted(set(separators))
        for place, record in enumerate(node.records):
            end = separators[place + 1] if place + 1 < len(separators) else high
            below, first = await self._check_below(child_of(record), separators[place], end)
            count, leftmost = count + below, first if not place else leftmost
        return count, leftmost
