"""An append that was overtaken by a later one shortens the log, by entries that were promised (figure 2, step 3)."""

from __future__ import annotations

from detrun_scenarios.consensus.core.entries import Entry
from detrun_scenarios.consensus.core.raft import Raft


class StaleAppendTruncates(Raft):
    """Makes the log end where an append ends."""

    def store(self, previous: int, entries: tuple[Entry, ...]) -> None:
        """See `Replication.store`."""
        if entries and previous < self.log.last_index:
            self.truncate_from(previous + 1)  # right: only from the first entry that conflicts
        self.append(entries)
