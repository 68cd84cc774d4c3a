"""Elections: pre-vote, votes, and loyalty to a leader that is heard.

A server that has not heard a leader for its time-out asks first whether it would win (section 9.6), so that one that
was cut off does not disturb the others by its term when it comes back. Voters do not answer while they hear a leader
(section 4.2.3): this is also what a leader's lease rests on. A candidate's own vote comes as a message from its disk.

Source: Ongaro 2014, sections 3.4, 3.6.1 (who may be elected), 4.2.3, 9.6; figure 2, RequestVote and "candidates".
"""

from __future__ import annotations

from typing import Any

from detrun_scenarios.consensus.core.entries import Entry
from detrun_scenarios.consensus.core.messages import RequestVote, Vote
from detrun_scenarios.consensus.core.server import Role, Server


class Elections(Server):
    """How a server becomes leader."""

    votes: set[str]
    request: RequestVote
    answered: set[str]
    """Who has answered this candidate, however."""

    # Standing.

    def election_timed_out(self) -> None:
        """No leader was heard for the whole time-out."""
        if self.role is Role.LEADER or not self.configuration.may_vote(self.name):
            self.wait_for_leader()
            return
        self.role, self.leader = Role.PRE_CANDIDATE, None
        self.draw_timeout()
        self._ask_for_votes(self.term + 1, is_trial=True)

    def start_election(self, *, is_transfer: bool = False) -> None:
        """Stand for election in a new term."""
        self.role, self.leader = Role.CANDIDATE, None
        self.set_term(self.term + 1, self.name)
        self.draw_timeout()
        self._ask_for_votes(self.term, is_transfer=is_transfer)

    def _ask_for_votes(self, term: int, *, is_trial: bool = False, is_transfer: bool = False) -> None:
        self.votes, self.answered = set(), set()
        self.send(self.name, Vote(term, self.name, True, is_trial))
        log = self.log
        self.request = RequestVote(term, self.name, log.last_index, log.last_term, is_trial, is_transfer)
        self.ask_again()

    def ask_again(self) -> None:
        """Ask all who have not answered: messages may be lost (section 3.3)."""
        if self.role in (Role.PRE_CANDIDATE, Role.CANDIDATE):
            for peer in self.peers:
                if self.configuration.may_vote(peer) and peer not in self.answered:
                    self.send(peer, self.request)

    # Voting.

    def on_request_vote(self, request: RequestVote) -> None:
        """Another server wants a vote, or wants to know whether it would get one."""
        if self.hears_leader() and not request.is_transfer:
            return
        if request.is_trial:
            is_granted = request.term > self.term and self.is_up_to_date(request)
            term = request.term if is_granted else self.term
            self.send(request.candidate, Vote(term, self.name, is_granted, True))
            return
        if request.term > self.term:
            self.become_follower(request.term)
        is_granted = (
            request.term == self.term and self.vote in (None, request.candidate) and self.is_up_to_date(request)
        )
        if is_granted:
            self.set_term(self.term, request.candidate)
            self.wait_for_leader()
        self.send(request.candidate, Vote(self.term, self.name, is_granted, False))

    def is_up_to_date(self, request: RequestVote) -> bool:
        """Whether the candidate's log is at least as new as this one (section 3.6.1)."""
        return (request.last_term, request.last_index) >= (self.log.last_term, self.log.last_index)

    def hears_leader(self) -> bool:
        """Whether a leader was heard so recently that a vote for another would break its lease."""
        return bool(self.clock() < self.loyal_until())

    def loyal_until(self) -> Any:
        """Until when this server votes for no other than the leader that it has heard."""
        return self.heard_leader_at + self.timing.election_timeout

    # Counting.

    def on_vote(self, vote: Vote) -> None:
        """A vote has come."""
        asked_term, asked_role = (self.term + 1, Role.PRE_CANDIDATE) if vote.is_trial else (self.term, Role.CANDIDATE)
        if vote.term == asked_term and self.role is asked_role:
            self.answered.add(vote.voter)
        if vote.term > self.term and not (vote.is_trial and vote.is_granted):
            self.become_follower(vote.term)
        elif vote.is_granted and vote.term == asked_term and self.role is asked_role:
            self.votes.add(vote.voter)
            if self.configuration.has_quorum(self.votes):
                if vote.is_trial:
                    self.witness.used("pre-vote won")
                    self.start_election()
                else:
                    self.become_leader()

    def become_leader(self) -> None:
        """Lead, and begin the term with an entry of its own: only that can be committed by counting (section 3.6.2)."""
        self.role, self.leader = Role.LEADER, self.name
        self.witness.elected(self)
        self.witness.used("election won")
        self.append([Entry(self.term, None)])
