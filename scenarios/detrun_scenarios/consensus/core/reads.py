"""Linearizable reads that leave no trace in the log.

A read sees what is committed when it arrives (its *read index*), provided that the server still leads then. A lease
says so at once; without one the read waits for a round of heartbeats that began after it. A new leader does not know
what is committed before an entry of its own term is.

Source: Ongaro 2014, sections 6.4 (read index) and 6.4.1 (lease).
"""

from __future__ import annotations

from collections import deque
from typing import Any

from detrun_scenarios.consensus.core.rounds import Rounds
from detrun_scenarios.consensus.core.server import Role


class Reads(Rounds):
    """How reads are admitted. A read is known by any object that its server gives."""

    waiting_reads: deque[tuple[int, int, object]]
    """(round that has to be confirmed, read index, read), in the order of arrival."""
    admitted_reads: list[tuple[int, Any]]
    """(read index, read): to be answered once so much is applied."""

    def become_leader(self) -> None:
        """No reads wait."""
        self.waiting_reads, self.admitted_reads = deque(), []
        super().become_leader()

    def read(self, read: object, *, by_lease: bool = True) -> bool:
        """Take a read, for which a lease is enough or not; False if this server cannot say what is committed."""
        if self.role is not Role.LEADER or self.log.term_at(self.commit_index) != self.term:
            return False
        if by_lease and self.may_answer_at_once():
            self.witness.used("read by lease")
            self.admitted_reads.append((self.commit_index, read))
            return True
        is_first = self.confirmed_round() == self.round
        self.waiting_reads.append((self.round + 1, self.commit_index, read))
        if is_first:  # else the next round begins when this one is over, for all that wait by then
            self.heartbeat()
        return True

    def may_answer_at_once(self) -> bool:
        """Whether a read needs no round."""
        return self.has_lease()

    def heartbeat(self) -> None:
        """A cluster of one has confirmed its round when it begins."""
        super().heartbeat()
        self._admit()

    def reached(self, peer: str, round: int) -> None:
        """A peer has answered; reads may have waited for it."""
        super().reached(peer, round)
        self._admit()

    def _admit(self) -> None:
        if self.role is not Role.LEADER or not self.waiting_reads:
            return
        confirmed = self.confirmed_round()
        while self.waiting_reads and self.waiting_reads[0][0] <= confirmed:
            _, index, read = self.waiting_reads.popleft()
            self.witness.used("read by a round of heartbeats")
            self.admitted_reads.append((index, read))
        if self.waiting_reads and confirmed == self.round:
            self.heartbeat()
