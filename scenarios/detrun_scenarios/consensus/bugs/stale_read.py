"""A leader answers reads from its own state although another may have been elected since (section 6.4)."""

from __future__ import annotations

from detrun_scenarios.consensus.core.raft import Raft


class StaleRead(Raft):
    """Reads without a look at the lease."""

    def may_answer_at_once(self) -> bool:
        """See `Reads.may_answer_at_once`."""
        return True  # right: only with a lease
