"""A server forgets its vote in a crash, and votes again in the same term: two leaders (section 3.8)."""

from __future__ import annotations

from detrun_scenarios.consensus.storage import Storage


class VoteNotPersisted(Storage):
    """Writes down the term without the vote."""

    def state_record(self, term: int, vote: str | None) -> bytes:
        """See `Storage.state_record`."""
        return super().state_record(term, None)  # right: vote
