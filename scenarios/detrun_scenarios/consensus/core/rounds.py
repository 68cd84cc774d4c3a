"""Rounds of heartbeats: until when a leader knows that it led, and when it gives up.

A leader learns that it leads from the answers of a majority to a round of heartbeats: it led when the round began. It
stops leading when it has not learned so for a whole time-out: clients then look for a leader that can serve them.

The *lease* is drawn from the same answers. Who answers votes for no other for an election time-out, by its own clock,
from a moment after the round began (`Elections.loyal_until`). The leader counts from the beginning of the round, by its
clock, and less by a margin, because the two clocks may differ in rate: with rates within ``1 ± d`` of the true one, the
margin must be at least ``2 d / (1 + d)`` of the time-out.

Source: Ongaro 2014, sections 6.2 (a leader steps down) and 6.4.1 (leases).
"""

from __future__ import annotations

from typing import Any

from detrun_scenarios.consensus.core.server import Role
from detrun_scenarios.consensus.core.snapshots import Snapshots


class Rounds(Snapshots):
    """What answers to heartbeats say."""

    led_since: Any

    def become_leader(self) -> None:
        """The election counts as an answer of a majority, but not for the lease: voters promise no loyalty."""
        self.led_since = self.clock()
        super().become_leader()

    def confirmed_round(self) -> int:
        """The latest round that a quorum has answered; 0 for none."""
        return self.configuration.agreed({**self.round_reached, self.name: self.round})

    def has_lease(self) -> bool:
        """Whether no other can have been elected until now."""
        began = self.round_began.get(self.confirmed_round()) if self.timing.has_leases else None
        return began is not None and bool(self.clock() < began + self.lease_seconds())

    def lease_seconds(self) -> Any:
        """How long after the beginning of a round no other can be elected, by this server's clock."""
        return self.timing.election_timeout - self.timing.lease_margin

    def heartbeat(self) -> None:
        """Step down if a majority is silent; otherwise begin a round."""
        if self.role is Role.LEADER:
            confirmed = self.confirmed_round()
            for round in [round for round in self.round_began if round < confirmed]:
                del self.round_began[round]
            last_known = self.round_began.get(confirmed, self.led_since)
            if self.clock() > last_known + self.timing.election_timeout + self.timing.election_spread:
                self.become_follower(self.term)
        super().heartbeat()
