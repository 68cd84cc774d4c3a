"""`Standby`: pages that follow a log, record by record, and who is active at the record that was applied last.

Every record is redone as in recovery. The changes of a transaction are seen by no snapshot until its commit record has
been applied, so that a snapshot between any two records is of whole transactions, in the order in which their commits
lie in the log: a prefix of what the primary has committed.

A number is in the log only when its transaction changes something, and a smaller one may come later. So when a number
appears, all smaller ones that have not been seen count as active, as in PostgreSQL (its known assigned transactions);
those of transactions that only read leave at the next checkpoint, which says who is active.

A record that takes away what a reader here may still want waits for the reader: versions that its snapshot sees, and
pages to which it may be on its way. The primary knows nothing of readers here.
"""

from __future__ import annotations

from detrun_scenarios.database.log.records import (
    Checkpoint,
    Commit,
    Compensation,
    End,
    Placed,
    Record,
    Removal,
    Structure,
    Update,
)
from detrun_scenarios.database.log.recovery import Recovered, Redo
from detrun_scenarios.database.log.writer import LogError
from detrun_scenarios.database.storage.buffer import BufferPool
from detrun_scenarios.database.storage.page import FREE, kind_of
from detrun_scenarios.database.transactions.versions import Snapshot
from detrun_scenarios.frame.news import News


class Standby:
    """See the module.

    Args:
        begin: the first record to be applied.
        consistent_from: no snapshot before all up to there is applied, for pages may have changes from before it.

    Attributes:
        applied: where the next record begins.
        checkpoint: the newest one that was applied; None if there is none.
        has_more: told when more is applied than before.
    """

    def __init__(self, pool: BufferPool, begin: int, consistent_from: int) -> None:
        self.pool = pool
        self._begin = self.applied = begin
        self.consistent_from = consistent_from
        self.has_more = News()
        self.checkpoint: int | None = None
        self._redo = Redo(pool, Recovered(), None)
        self._active: dict[int, None] = {}
        self._readers: dict[int, Snapshot] = {}
        self._reader = 0
        self._gone: dict[int, int] = {}  # page that is free -> readers before this one may be on their way to it
        self._has_left = News()
        self._next_number = 1

    @property
    def is_consistent(self) -> bool:
        """Whether there is a snapshot to be taken: of something, and of pages that belong to one moment."""
        return self.applied > self._begin and self.applied >= self.consistent_from

    def snapshot(self) -> Snapshot:
        """What is committed where the last applied record lies."""
        return Snapshot(0, frozenset(self._active), self._next_number)

    def enter(self, snapshot: Snapshot) -> int:
        """Someone reads at a snapshot, until `leave`."""
        self._reader += 1
        self._readers[self._reader] = snapshot
        return self._reader

    def leave(self, reader: int) -> None:
        """It does so no more. No matter if it has left before."""
        self._readers.pop(reader, None)
        self._has_left.tell()

    async def apply(self, placed: Placed) -> None:
        """Redo one record, once the readers of what it takes away have left."""
        await self._wait_for_readers(placed.record)
        self._note(placed)
        await self._redo.record(placed)
        self.applied = placed.end
        self.has_more.tell()

    async def _wait_for_readers(self, record: Record) -> None:
        match record:
            case Removal():
                while any(snapshot.horizon < record.horizon for snapshot in self._readers.values()):
                    await self._has_left.wait()
            case Structure():
                for page_id, image in record.images.items():
                    later = self._gone.pop(page_id, 0)
                    while any(reader < later for reader in self._readers):
                        await self._has_left.wait()
                    if kind_of(image) == FREE:
                        self._gone[page_id] = self._reader + 1
            case _:
                pass

    def _note(self, placed: Placed) -> None:
        match placed.record:
            case (Update() | Compensation()) as record:
                self._begun(record.transaction + 1)
            case (Commit() | End()) as record:
                self._begun(record.transaction + 1)
                self._active.pop(record.transaction, None)
            case Checkpoint() as record:
                self.checkpoint = placed.lsn
                self._begun(record.next_transaction)
                going_on = [number for number, (_, _, is_committed) in record.transactions.items() if not is_committed]
                self._active = dict.fromkeys(going_on)
            case _:
                pass

    def _begun(self, next_number: int) -> None:
        """All transactions before a number have begun."""
        self._active.update(dict.fromkeys(range(self._next_number, next_number)))
        self._next_number = max(self._next_number, next_number)

    @property
    def redo_from(self) -> int | None:
        """Where redo has to begin after a crash: not behind a checkpoint, which says who was active; None without."""
        if self.checkpoint is None:
            return None
        return min([self.checkpoint, *self.pool.dirty_pages().values(), *self._redo.images.values()])

    def check_whole(self) -> None:
        """All of the log on this disk has been redone.

        Raises:
            LogError: a page was not whole, and no record had an image of it.
        """
        if self._redo.broken:
            raise LogError(f"pages {[*self._redo.broken]} are not whole, and the log has no images of them")
