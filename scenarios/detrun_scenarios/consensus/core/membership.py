"""Changes of membership by joint consensus: any set of servers gives way to any other.

New servers first learn the log without counting. When they have caught up, the leader appends a configuration in which
majorities of both sets are needed; when that is committed, one of the new set alone. A leader that is not in the new
set steps down when the latter is committed. A new leader that finds a joint configuration carries the change on.

Source: Ongaro 2014, sections 4.2.1 (catching up), 4.2.2 (removing the leader), 4.3 (joint consensus).
"""

from __future__ import annotations

from detrun_scenarios.consensus.core.entries import Configuration
from detrun_scenarios.consensus.core.messages import Appended
from detrun_scenarios.consensus.core.reads import Reads
from detrun_scenarios.consensus.core.server import Role

CAUGHT_UP_ENTRIES = 64


class Membership(Reads):
    """How the set of servers changes."""

    wanted_voters: tuple[str, ...] | None

    def become_leader(self) -> None:
        """Know of no wish; a change that is in the log is carried on."""
        self.wanted_voters = None
        super().become_leader()

    def change_members(self, voters: tuple[str, ...]) -> bool:
        """Begin to change the set of voters; False if this server cannot, or if a change is going on."""
        now = self.configuration
        is_settled = self.configurations[-1][0] <= self.commit_index and not now.is_joint
        if self.role is not Role.LEADER or not is_settled or self.log.term_at(self.commit_index) != self.term:
            return False
        self.wanted_voters = voters
        learners = tuple(name for name in voters if name not in now.voters)
        if learners != now.learners:
            self.propose([Configuration(now.voters, learners=learners)])
        self._go_on()
        return True

    def on_appended(self, answer: Appended) -> None:
        """A learner may have caught up."""
        super().on_appended(answer)
        if self.role is Role.LEADER and self.wanted_voters is not None:
            self._go_on()

    def commit_to(self, index: int) -> None:
        """A step of a change may be done."""
        super().commit_to(index)
        if self.role is Role.LEADER:
            self._go_on()

    def _go_on(self) -> None:
        """Do the next step of the change, if it is time."""
        at, now = self.configurations[-1]
        if at > self.commit_index:
            return
        if now.is_joint:
            self.witness.used("joint configuration left")
            self.propose([Configuration(now.voters)])
        elif self.name not in now.members:
            self.become_follower(self.term)
        elif self.wanted_voters is not None:
            if set(self.wanted_voters) == set(now.voters):
                self.wanted_voters = None
            elif all(self.matched.get(name, 0) + CAUGHT_UP_ENTRIES >= self.log.last_index for name in now.learners):
                if now.learners:
                    self.witness.used("learner caught up")
                self.propose([Configuration(self.wanted_voters, old_voters=now.voters)])
