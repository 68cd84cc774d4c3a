"""`Changes`: changes of pages that are logged as they are made, and taken back in the reverse order.

The bridge between pool and log: it alone changes pages. `Trail` is what one transaction has in the log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from detrun_scenarios.database.log.records import (
    NO_TREE,
    Change,
    Commit,
    Compensation,
    End,
    Removal,
    Structure,
    Update,
)
from detrun_scenarios.database.log.writer import LogWriter
from detrun_scenarios.database.storage.buffer import Area, BufferPool, Frame
from detrun_scenarios.database.storage.free_pages import FreePages
from detrun_scenarios.database.storage.page import FREE, Page


@dataclass(slots=True)
class Trail:
    """The records of a transaction.

    Attributes:
        number: of the transaction.
        first, last: its first and its last record; 0 for none.
        undoable: its updates, from the first on, without images.
        is_committed: its commit record is in the log, durable or not.
    """

    number: int
    first: int = 0
    last: int = 0
    undoable: list[Update] = field(default_factory=list)
    is_committed: bool = False


UndoInTree: TypeAlias = Callable[[Trail, Update], Awaitable[None]]
"""Takes a change of a tree back; it calls `Changes.compensate` for that."""


class Changes:
    """See the module.

    Attributes:
        trails: of transactions that are not ended.
        free_pages: those that can be used again, now or later.
        undo_in_tree: set by the store, which knows the class of its trees.
    """

    undo_in_tree: UndoInTree

    def __init__(self, pool: BufferPool, log: LogWriter) -> None:
        self.pool = pool
        self.log = log
        self.trails: dict[int, Trail] = {}
        self.next_number = 1
        self.free_pages = FreePages()

    def begin(self) -> Trail:
        """A new transaction. It is in the log when it has changed something."""
        trail = self.trails[self.next_number] = Trail(self.next_number)
        self.next_number += 1
        return trail

    def update(self, trail: Trail, frame: Frame, change: Change, tree: int = NO_TREE) -> None:
        """Change a page, which is latched exclusively, for a transaction."""
        change.apply(frame.page)
        record = Update(trail.number, trail.last, frame.page_id, tree, change, _first_image(frame))
        trail.last = self.log.append(record)
        trail.first = trail.first or trail.last
        trail.undoable.append(record._replace(image=None))
        self.pool.changed(frame, trail.last)

    def compensate(self, trail: Trail, frame: Frame, change: Change, undone: Update) -> None:
        """Make the change that takes an update back."""
        change.apply(frame.page)
        record = Compensation(
            trail.number,
            trail.last,
            frame.page_id,
            undone.tree,
            change,
            _first_image(frame),
            undo_next=undone.previous,
        )
        trail.last = self.log.append(record)
        self.pool.changed(frame, trail.last)

    def remove(self, frame: Frame, changes: tuple[Change, ...], tree: int, horizon: int) -> None:
        """Change a page, which is latched exclusively, for good; see `Removal`."""
        for change in changes:
            change.apply(frame.page)
        record = Removal(frame.page_id, tree, changes, _first_image(frame), horizon)
        self.pool.changed(frame, self.log.append(record))

    def restructured(self, area: Area, frames: Sequence[Frame]) -> None:
        """Log pages that have just been changed together, without a schedule point before this call.

        Those that have become free are used again when all transactions of now have ended.
        """
        lsn = self.log.append(Structure(area, {frame.page_id: bytes(frame.page.data) for frame in frames}))
        for frame in frames:
            self.pool.changed(frame, lsn)
            self.free_pages.used(frame.page_id)
            if frame.page.kind == FREE:
                self.free_pages.free(frame.page_id, area, self.next_number)

    async def new_page(self, area: Area, kind: int) -> Frame:
        """A page for new content, pinned; a free one if there is one. It has to be logged by `restructured`."""
        await self.pool.room(area)
        page = Page.new(kind, self.pool.volume.page_bytes)
        page_id = self.free_pages.take(area, min(self.trails, default=self.next_number))
        if page_id is None:
            return self.pool.create(self.pool.volume.allocate(), area, page)
        return self.pool.renew(page_id, area, page)

    def commit(self, trail: Trail) -> int:
        """Log the commitment. It has happened when the log is flushed to the position that is returned."""
        trail.last = self.log.append(Commit(trail.number, trail.last))
        trail.is_committed = True
        return trail.last

    def end(self, trail: Trail) -> None:
        """All is done for a transaction."""
        del self.trails[trail.number]
        if trail.last:
            self.log.append(End(trail.number, trail.last))

    async def roll_back(self, trail: Trail) -> None:
        """Take back all that a transaction has changed, and end it."""
        while trail.undoable:
            await self.undo(trail, trail.undoable[-1])
            trail.undoable.pop()
        self.end(trail)

    async def undo(self, trail: Trail, record: Update) -> None:
        """Take one update back."""
        if record.tree != NO_TREE:
            await self.undo_in_tree(trail, record)
            return
        async with self.pool.using(record.page_id, "heap", "exclusive") as frame:
            self.compensate(trail, frame, record.change.reversed(), record)


def _first_image(frame: Frame) -> bytes | None:
    """The whole page after a change that is its first since it was written; None after a later one."""
    return bytes(frame.page.data) if frame.recovery_lsn is None else None
