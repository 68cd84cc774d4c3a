"""ARIES: analysis finds what was going on at a crash, redo repeats history, undo takes back what was not committed.

- *Analysis* reads the log from the newest checkpoint on: which transactions have not ended, which pages may lack
  changes.
- *Redo* makes every change that a page lacks, those of transactions that will be undone included. A page lacks a
  change if its own LSN is older. A page that is not whole gets its image from the log, and then what follows.
- *Undo* takes back, from the newest change to the oldest, what uncommitted transactions have done, and logs that as
  compensations: after a crash in the midst of undo, redo repeats these and undo goes on where it was.

`checkpoint` bounds the work, and what has to be kept: recovery reads from the oldest recovery LSN of its dirty pages,
undo back to the first record of its oldest transaction. `cut_log` frees what lies before both.

Source: Mohan et al., "ARIES", ACM TODS 1992, figures 9 to 14. Departures: a checkpoint is one record, because its
tables are taken without a schedule point between; torn pages are mended by images (`storage.buffer`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detrun_scenarios.database.log.changes import Changes, Trail
from detrun_scenarios.database.log.records import (
    Change,
    Checkpoint,
    Commit,
    Compensation,
    End,
    Placed,
    Removal,
    Structure,
    Update,
    area_of,
)
from detrun_scenarios.database.log.writer import MAGIC, LogError
from detrun_scenarios.database.storage.buffer import Area, BufferPool, Frame
from detrun_scenarios.database.storage.page import FREE, Page, TornPageError, kind_of


@dataclass(slots=True)
class Recovered:
    """What a recovery has done.

    Attributes:
        records: that analysis has read.
        redone: changes of pages that were made again.
        mended: pages that were not whole.
        undone: transactions that were taken back.
    """

    records: int = 0
    redone: int = 0
    mended: int = 0
    undone: int = 0


async def recover(changes: Changes) -> Recovered:
    """Bring pool and log to what was committed. The log is at its beginning, the pool empty.

    Raises:
        LogError: the log lacks what no crash takes away.
    """
    log, pool, found = changes.log, changes.pool, Recovered()
    # After a mere crash of the process, what is read may be in the cache only; and we are about to rest on it.
    await pool.volume.sync()
    begin = await log.master()
    placed = await log.read_from(begin or len(MAGIC))
    if begin and not (placed and isinstance(placed[0].record, Checkpoint)):
        raise LogError(f"disk {log.disk.name}: there is no checkpoint at {begin}")
    found.records = len(placed)
    await log.cut(placed[-1].end if placed else len(MAGIC))
    dirty = _analysis(changes, placed)
    first = min(dirty.values(), default=log.end)
    if begin and first < begin:
        if first < log.begin:
            raise LogError(f"disk {log.disk.name}: redo begins at {first}, and the log at {log.begin}")
        placed = [*await log.read_from(first, begin), *placed]
    if dirty:
        pool.volume.pages = max(pool.volume.pages, max(dirty) + 1)
    redo = Redo(pool, found, dirty)
    for one in placed:
        await redo.record(one)
    await _undo(changes, found)
    return found


# Analysis.


def _analysis(changes: Changes, placed: Sequence[Placed]) -> dict[int, int]:
    """Fill in the transactions that go on, and the free pages; the dirty pages."""
    dirty: dict[int, int] = {}
    free: dict[int, Area] = {}
    trails = changes.trails
    for lsn, record, _ in placed:
        match record:
            case Checkpoint():
                for number, (first, last, is_committed) in record.transactions.items():
                    trails[number] = Trail(number, first, last, is_committed=is_committed)
                dirty.update(record.dirty_pages)
                changes.next_number = max(changes.next_number, record.next_transaction)
                free = dict(record.free_pages)
            case Structure():
                for page_id, image in record.images.items():
                    dirty.setdefault(page_id, lsn)
                    free.pop(page_id, None)
                    if kind_of(image) == FREE:
                        free[page_id] = record.area
            case Removal():
                dirty.setdefault(record.page_id, lsn)
            case Update() | Compensation():
                trail = _trail_of(changes, record.transaction)
                trail.first, trail.last = trail.first or lsn, lsn
                dirty.setdefault(record.page_id, lsn)
            case Commit():
                trail = _trail_of(changes, record.transaction)
                trail.last, trail.is_committed = lsn, True
            case End():
                trails.pop(record.transaction, None)
    changes.free_pages.restore(free)
    return dirty


def _trail_of(changes: Changes, number: int) -> Trail:
    changes.next_number = max(changes.next_number, number + 1)
    return changes.trails.setdefault(number, Trail(number))


# Redo.


class Redo:
    """Makes the changes of records that pages lack, in the order of the log.

    Args:
        dirty: pages that may lack changes, and from where on; None for all pages, as on a replica.

    Attributes:
        images: pages that may change again without an image -> a record that has one, from which they are redone then.
        broken: pages that are not whole, and that no record had an image of yet; where all pages are looked at.
    """

    def __init__(self, pool: BufferPool, found: Recovered, dirty: Mapping[int, int] | None) -> None:
        self.pool = pool
        self.found = found
        self.dirty = dirty
        self.images: dict[int, int] = {}
        self.broken: dict[int, None] = {}

    async def record(self, placed: Placed) -> None:
        """Make the changes of one record. Pages that have changed together change together."""
        match placed.record:
            case Structure() as record:
                # A parent stands behind its children, and is latched before them, as by those who read meanwhile.
                changed = [(page_id, image, ()) for page_id, image in reversed([*record.images.items()])]
                await self._pages(placed.lsn, record.area, changed)
            case (Update() | Compensation()) as record:
                await self._pages(placed.lsn, area_of(record), [(record.page_id, record.image, (record.change,))])
            case Removal() as record:
                await self._pages(placed.lsn, area_of(record), [(record.page_id, record.image, record.changes)])
            case Checkpoint() as record:
                kept = {page_id: lsn for page_id, lsn in self.images.items() if page_id in record.dirty_pages}
                self.images = {**record.dirty_pages, **kept}
            case _:
                pass

    async def _pages(
        self, lsn: int, area: Area, changed: Sequence[tuple[int, bytes | None, tuple[Change, ...]]]
    ) -> None:
        latched: list[tuple[Frame, bytes | None, tuple[Change, ...]]] = []
        for page_id, image, changes in changed:
            if self.dirty is not None and self.dirty.get(page_id, lsn + 1) > lsn:
                continue
            if image is not None:
                self.images[page_id] = lsn
            frame = await self._frame(page_id, area, image)
            if frame is not None:
                await self.pool.latch(frame, "exclusive")
                latched.append((frame, image, changes))
        for frame, image, changes in latched:
            if frame.page.lsn < lsn:
                if image is not None:
                    frame.page.data[:] = image
                else:
                    for change in changes:
                        change.apply(frame.page)
                if frame.recovery_lsn is None:
                    frame.recovery_lsn = self.images[frame.page_id]
                self.pool.changed(frame, lsn)
                self.found.redone += 1
        for frame, _, _ in latched:
            self.pool.release(frame, "exclusive")

    async def _frame(self, page_id: int, area: Area, image: bytes | None) -> Frame | None:
        """The page, pinned; a page that is not whole is taken from its image, or has to wait for one."""
        try:
            return await self.pool.pin(page_id, area)
        except TornPageError as error:
            if image is None:
                if self.dirty is not None:
                    raise LogError(f"page {page_id} is not whole, and the log has no image of it") from error
                self.broken[page_id] = None
                return None
        await self.pool.room(area)
        self.found.mended += 1
        self.broken.pop(page_id, None)
        page = Page(bytearray(image))
        page.lsn = 0  # what it is worth is said by the record that has the image
        return self.pool.create(page_id, area, page)


# Undo.


async def _undo(changes: Changes, found: Recovered) -> None:
    trails = changes.trails
    for trail in [trail for trail in trails.values() if trail.is_committed]:
        changes.end(trail)
    next_of = {number: trail.last for number, trail in trails.items()}
    found.undone = len(next_of)
    while next_of:
        number = max(next_of, key=lambda one: next_of[one])
        trail, lsn = trails[number], next_of[number]
        if not lsn:
            changes.end(trail)
            del next_of[number]
            continue
        record = (await changes.log.read(lsn)).record
        match record:
            case Compensation():
                next_of[number] = record.undo_next
            case Update():
                await changes.undo(trail, record)
                next_of[number] = record.previous
            case _:
                raise LogError(f"transaction {number} has a {type(record).__name__} at {lsn} to be undone")


# Checkpoints.


async def checkpoint(changes: Changes, *, write_before: int = 0) -> int:
    """Log what is going on, so that recovery begins there; its position.

    Args:
        write_before: pages with an older recovery LSN are written first, so that redo has less to do. The position of
            the checkpoint before is a good one: a page that is changed all the time is then written once in between.
    """
    pool, log = changes.pool, changes.log
    for frame in list(pool.frames.values()):
        if frame.recovery_lsn is not None and frame.recovery_lsn < write_before:
            await pool.write(frame)
    if pool.unsynced:
        await pool.sync()
    transactions = {one.number: (one.first, one.last, one.is_committed) for one in changes.trails.values()}
    free = changes.free_pages.all()
    lsn = log.append(Checkpoint(transactions, pool.dirty_pages(), changes.next_number, free))
    await log.flush(lsn)
    await log.set_master(lsn)
    return lsn


async def cut_log(changes: Changes, keep_from: int | None = None) -> None:
    """Free the log before all that the newest checkpoint needs.

    Args:
        keep_from: a position that others need the log from, as a replica does.
    """
    log = changes.log
    lsn = await log.master()
    if not lsn:
        return
    record = (await log.read(lsn)).record
    assert isinstance(record, Checkpoint)
    # Also of a transaction that has ended since: its end may not be durable yet.
    first_records = [first for first, _, is_committed in record.transactions.values() if first and not is_committed]
    needed = min([lsn, *record.dirty_pages.values(), *first_records])
    await log.free_before(needed if keep_from is None else min(needed, keep_from))
