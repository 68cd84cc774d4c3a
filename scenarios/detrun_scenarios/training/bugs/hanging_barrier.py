"""A barrier waits for all who were there at its beginning, and for ever if one of them dies."""

from __future__ import annotations

from detrun_scenarios.training.ring.barrier import Barrier


class HangingBarrier(Barrier):
    """Has not heard of death."""

    def leave(self, member: str) -> None:
        """See `Barrier.leave`."""
        self._news.tell()  # right: it is broken
