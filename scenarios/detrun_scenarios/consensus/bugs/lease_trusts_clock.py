"""A leader's lease is as long as its voters' loyalty, by another clock than theirs: it outlasts it (section 6.4.1)."""

from __future__ import annotations

from typing import Any

from detrun_scenarios.consensus.core.raft import Raft


class LeaseTrustsClock(Raft):
    """Leaves no margin for clocks that run at different rates."""

    def lease_seconds(self) -> Any:
        """See `Rounds.lease_seconds`."""
        return self.timing.election_timeout  # right: less the margin
