"""Replication: appends that follow each other without waiting, and what followers do with them.

For each peer the leader knows how far the logs are equal (`matched`) and what it sends next (`next_index`). As long as
a peer agrees, entries are sent ahead of its answers, up to a window. A refusal says where the logs could agree; the
leader then *probes*: one append at a time until one is accepted. Lost appends show at the next heartbeat, which is
refused because entries are missing.

A follower drops entries only where one conflicts with the leader's: an append that was overtaken by a later one holds
less than the log, and must not shorten it (figure 2, AppendEntries, step 3).

Source: Ongaro 2014, sections 3.5, 10.2; the states of a peer are those of etcd's raft ("probe", "replicate").
"""

from __future__ import annotations

from typing import Any

from detrun_scenarios.consensus.core.commitment import Commitment
from detrun_scenarios.consensus.core.entries import Content, Entry
from detrun_scenarios.consensus.core.messages import Appended, AppendEntries, InstallSnapshot, PieceReceived
from detrun_scenarios.consensus.core.server import Role

WINDOW_ENTRIES = 512  # that may be on their way to one peer


class Replication(Commitment):
    """How a leader's log reaches the others."""

    next_index: dict[str, int]
    probing: dict[str, bool]
    """Of each peer that is probed, whether the one append is on its way."""
    round: int
    """Of heartbeats in this term."""
    round_began: dict[int, Any]
    """Round -> when it began, by the leader's clock."""
    round_reached: dict[str, int]
    """Of each peer, the latest round in which it is known to have heard the leader."""

    # The leader.

    def become_leader(self) -> None:
        """Begin to replicate; nothing is known of the others."""
        self.next_index, self.matched, self.probing = {}, {}, {}
        self.round, self.round_began, self.round_reached = 0, {}, {}
        super().become_leader()
        self.heartbeat()

    def propose(self, contents: list[Content]) -> None:
        """Put what clients want at the end of the log."""
        assert self.role is Role.LEADER
        if len(contents) > 1:
            self.witness.used("requests in a batch")
        self.append([Entry(self.term, content) for content in contents])

    def _meet(self, peer: str) -> None:
        """Begin to replicate to a peer, from what the leader has on."""
        if peer not in self.next_index:
            self.next_index[peer] = max(self.log.last_index, self.log.base_index + 1)
            self.matched[peer] = 0
            self.probing[peer] = False

    def has_work_for(self, peer: str) -> bool:
        """Whether an append with entries may be sent to a peer now."""
        if self.role is not Role.LEADER or peer not in self.peers:
            return False
        self._meet(peer)
        if peer in self.probing:
            return not self.probing[peer]
        ahead = self.next_index[peer] - 1 - self.matched[peer]
        return self.next_index[peer] <= self.log.last_index and ahead < WINDOW_ENTRIES

    def next_append(self, peer: str) -> AppendEntries | InstallSnapshot:
        """What is to be sent to a peer next; counts as sent."""
        first = self.next_index[peer]
        last = min(self.log.last_index, first + self.timing.append_entries_max - 1)
        if peer in self.probing:
            self.probing[peer] = True
        else:
            if first > self.matched[peer] + 1:
                self.witness.used("append ahead of answers")
            self.next_index[peer] = last + 1
        return self._append_of(first, last)

    def _append_of(self, first: int, last: int) -> AppendEntries:
        previous_term = self.log.term_at(first - 1)
        assert previous_term is not None
        entries = self.log.slice(first, last)
        return AppendEntries(self.term, self.name, first - 1, previous_term, entries, self.commit_index, self.round)

    def heartbeat(self) -> None:
        """Begin a new round: tell all peers that there is a leader, and ask where they are."""
        if self.role is not Role.LEADER:
            return
        self.round += 1
        self.round_began[self.round] = self.clock()
        for peer in self.peers:
            self._meet(peer)
            if peer in self.probing and self.may_be_lost(peer):
                self.probing[peer] = False
            first = max(self.next_index[peer], self.log.base_index + 1)
            self.urgent.append((peer, self._append_of(first, first - 1)))

    def may_be_lost(self, peer: str) -> bool:
        """Whether what is on its way to a peer that is probed is given up, now that a round begins."""
        return True  # an append that comes twice costs little

    def has_heard(self, answer: Appended | PieceReceived) -> bool:
        """Whether a follower answers this leader in this term; a later term ends the leadership."""
        if answer.term > self.term:
            self.become_follower(answer.term)
        return self.role is Role.LEADER and answer.term == self.term

    def on_appended(self, answer: Appended) -> None:
        """A follower has answered an append."""
        peer = answer.follower
        if not self.has_heard(answer) or peer not in self.next_index:
            return
        self.reached(peer, answer.round)
        if answer.is_success:
            if answer.index > self.matched[peer] or peer in self.probing:
                self.matched[peer] = max(self.matched[peer], answer.index)
                self.next_index[peer] = max(self.next_index[peer], self.matched[peer] + 1)
                if peer in self.probing:
                    self.next_index[peer] = self.matched[peer] + 1
                    del self.probing[peer]
                self.count_copies()
        elif answer.index > self.matched[peer] and (
            peer not in self.probing or answer.index == self.next_index[peer] - 1
        ):  # else it is the late answer to an early append
            self.next_index[peer] = max(self.matched[peer], min(answer.index - 1, answer.hint)) + 1
            self.probing[peer] = False
            self.witness.used("logs compared after a refusal")

    def reached(self, peer: str, round: int) -> None:
        """A peer has heard the leader in ``round``, or later."""
        self.round_reached[peer] = max(self.round_reached.get(peer, 0), round)

    # The follower.

    def hear_leader(self, term: int, leader: str) -> bool:
        """A message of a leader has come; whether it is the present one."""
        if term < self.term:
            return False
        if term > self.term or self.role is not Role.FOLLOWER:
            self.become_follower(term, leader)
        self.leader = leader
        self.heard_leader_at = self.clock()
        self.wait_for_leader()
        return True

    def on_append_entries(self, append: AppendEntries) -> None:
        """The leader's entries have come."""
        if not self.hear_leader(append.term, append.leader):
            self.send(append.leader, Appended(self.term, self.name, False, append.previous_index, 0, append.round))
            return
        previous, entries = append.previous_index, append.entries
        if previous < self.log.base_index:
            # What a snapshot stands for is committed, so that the logs agree there.
            entries = entries[self.log.base_index - previous :]
            last_known = max(previous + len(append.entries), self.log.base_index)
        elif self.log.term_at(previous) != append.previous_term:
            hint = self.log.last_index_of_term_below(append.previous_term + 1, previous - 1)
            self.send(append.leader, Appended(self.term, self.name, False, previous, hint, append.round))
            return
        else:
            last_known = previous + len(entries)
        self.store(max(previous, self.log.base_index), entries)
        self.commit_to(min(append.commit_index, last_known))
        self.send(append.leader, Appended(self.term, self.name, True, last_known, 0, append.round))

    def store(self, previous: int, entries: tuple[Entry, ...]) -> None:
        """Take over the leader's entries after ``previous``, from the first that is new or conflicts."""
        for offset, entry in enumerate(entries):
            index = previous + 1 + offset
            if self.log.term_at(index) != entry.term:
                if index <= self.log.last_index:
                    self.truncate_from(index)
                self.append(entries[offset:])
                return
