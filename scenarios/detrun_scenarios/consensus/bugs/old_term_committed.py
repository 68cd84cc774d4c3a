"""A leader commits an entry of an older term by counting its copies: it can still be overwritten (figure 3.7)."""

from __future__ import annotations

from detrun_scenarios.consensus.core.raft import Raft


class OldTermCommitted(Raft):
    """Counts copies whatever the term."""

    def may_commit(self, index: int) -> bool:
        """See `Commitment.may_commit`."""
        return True  # right: only if the entry is of the present term
