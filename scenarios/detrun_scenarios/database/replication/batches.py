"""`Batches`: what has arrived at a replica, until it is in the log and applied. They come in any order, or twice."""

from __future__ import annotations

from detrun_scenarios.database.replication.messages import Batch
from detrun_scenarios.frame.news import News


class Batches:
    """See the module.

    Attributes:
        to_write, to_apply: what has not been written to the log, and what has not been applied; as it has come.
        has_more: told when one has arrived or is in the log.
    """

    def __init__(self) -> None:
        self.to_write: list[Batch] = []
        self.to_apply: list[Batch] = []
        self.has_more = News()

    def arrived(self, batch: Batch) -> None:
        """One has come."""
        self.to_write.append(batch)
        self.to_apply.append(batch)
        self.has_more.tell()

    def next_to_write(self, end: int) -> Batch | None:
        """The one that goes on where the log ends; None if it is not there."""
        self.to_write = [batch for batch in self.to_write if batch.end > end]
        return _following(self.to_write, end)

    def next_to_apply(self, applied: int, durable: int) -> Batch | None:
        """The one that goes on where the last applied record ends, once it is in the log; None if it is not."""
        self.to_apply = [batch for batch in self.to_apply if batch.end > applied]
        batch = _following(self.to_apply, applied)
        return batch if batch is not None and batch.end <= durable else None


def _following(batches: list[Batch], position: int) -> Batch | None:
    for batch in batches:
        if batch.begin <= position:  # it begins before, if it was sent again in other portions
            return Batch(position, batch.data[position - batch.begin :], batch.since)
    return None
