"""Leadership transfer: a leader makes another server take over, without waiting for a time-out.

The leader takes no more requests, brings the other's log up to its own, and tells it to stand for election at once.
Voters that are loyal to the leader vote all the same, which is why the leader has no lease from then on, not even if
the transfer comes to nothing: the message may still be on its way.

Source: Ongaro 2014, section 3.10.
"""

from __future__ import annotations

from typing import Any

from detrun_scenarios.consensus.core.membership import Membership
from detrun_scenarios.consensus.core.messages import Appended, TimeoutNow
from detrun_scenarios.consensus.core.server import Role


class Transfer(Membership):
    """How a leader hands over."""

    successor: str | None
    hands_over_until: Any
    is_lease_void: bool

    def become_leader(self) -> None:
        """Lead for good."""
        self.successor, self.is_lease_void = None, False
        super().become_leader()

    @property
    def takes_requests(self) -> bool:
        """Whether requests of clients may be appended."""
        return self.role is Role.LEADER and self.successor is None

    def transfer_to(self, peer: str) -> bool:
        """Begin to hand over; False if this server does not lead, or the other one cannot."""
        if not self.takes_requests or peer == self.name or not self.configuration.may_vote(peer):
            return False
        self.successor = peer
        self.hands_over_until = self.clock() + self.timing.election_timeout
        self._hand_over()
        return True

    def _hand_over(self) -> None:
        if self.successor is not None and self.matched.get(self.successor, 0) == self.log.last_index:
            self.is_lease_void = True
            self.urgent.append((self.successor, TimeoutNow(self.term, self.name)))

    def on_appended(self, answer: Appended) -> None:
        """The successor may have caught up."""
        super().on_appended(answer)
        if self.role is Role.LEADER and answer.follower == self.successor:
            self._hand_over()

    def heartbeat(self) -> None:
        """Give up a transfer that takes too long."""
        if self.role is Role.LEADER and self.successor is not None and self.clock() > self.hands_over_until:
            self.successor = None
        super().heartbeat()

    def has_lease(self) -> bool:
        """Not once another was told to stand for election."""
        return not self.is_lease_void and super().has_lease()

    def on_timeout_now(self, message: TimeoutNow) -> None:
        """The leader wants this server to take over."""
        if message.term == self.term and self.role is Role.FOLLOWER and self.configuration.may_vote(self.name):
            self.witness.used("leadership handed over")
            self.start_election(is_transfer=True)
