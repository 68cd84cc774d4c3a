"""Commitment: an entry is committed when a majority has it on its disks and it is of the leader's own term.

Entries of older terms are committed with the first one of the own term that is behind them. To commit them by counting
would be wrong: a later leader may still overwrite them (figure 3.7).

Source: Ongaro 2014, section 3.6.2; figure 2, the last of the "rules for leaders".
"""

from __future__ import annotations

from detrun_scenarios.consensus.core.elections import Elections
from detrun_scenarios.consensus.core.server import Role


class Commitment(Elections):
    """How a leader learns that entries are committed."""

    matched: dict[str, int]
    """Of each peer, the index up to which its log is known to be equal, and on its disk."""

    def written(self, last_index: int, last_term: int) -> None:
        """The leader counts itself once its disk has the entries."""
        super().written(last_index, last_term)
        self.count_copies()

    def count_copies(self) -> None:
        """Commit what a quorum has."""
        if self.role is not Role.LEADER:
            return
        agreed = self.configuration.agreed({**self.matched, self.name: self.durable_index})
        if agreed > self.commit_index and self.may_commit(agreed):
            self.commit_to(agreed)
            self.witness.used("commitment by a quorum")

    def may_commit(self, index: int) -> bool:
        """Whether the entry at ``index``, which a quorum has, is committed by that."""
        return self.log.term_at(index) == self.term
