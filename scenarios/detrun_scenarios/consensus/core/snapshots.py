"""Snapshots: the state machine's state stands for the entries that led to it.

A server takes one by itself whenever its log has grown, and keeps some entries behind it for peers that lag a little.
A leader that has dropped what a peer needs next sends its snapshot instead. A snapshot holds the configuration that
counted at its end: the entry that said so is among those that are gone.

A snapshot travels in pieces, one after the other, each answered before the next one leaves: a large one delays no
heartbeat, and its pieces are heartbeats themselves. The leader goes on sending the snapshot that it began with. Pieces
wait in the follower's memory until the last one is there: one that crashes, or hears a new leader, begins anew.

Source: Ongaro 2014, chapter 5; figure 5.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from detrun_scenarios.consensus.core.entries import Configuration, Snapshot
from detrun_scenarios.consensus.core.messages import Appended, AppendEntries, InstallSnapshot, PieceReceived
from detrun_scenarios.consensus.core.replication import Replication


@dataclass(slots=True)
class Sending:
    """A snapshot on its way to one peer.

    Attributes:
        offset: of the piece that the peer needs next.
        since: when the piece was sent that is not answered.
    """

    snapshot: Snapshot
    offset: int = 0
    since: Any = 0.0


class Snapshots(Replication):
    """How logs stay short."""

    sending: dict[str, Sending]
    receiving: tuple[tuple[int, int], bytes] | None = None
    """What has come of a snapshot: (the leader's term, its last index), and the bytes so far."""

    def take_snapshot(self, index: int, state: bytes, kept_entries: int) -> None:
        """The state machine has ``state`` after the entry at ``index``; so many entries up to there are kept."""
        term = self.log.term_at(index)
        assert term is not None
        assert index <= self.commit_index
        self.snapshot = Snapshot(index, term, self.configuration_for_snapshot(index), state)
        self.unwritten.snapshot = self.snapshot
        base = index - kept_entries
        if base > self.log.base_index:
            base_term = self.log.term_at(base)
            assert base_term is not None
            self.witness.used("log compacted by a snapshot")
            self.log.compact(base, base_term)
            self._forget_configurations(base)

    def configuration_for_snapshot(self, index: int) -> Configuration:
        """What a snapshot up to ``index`` says about the cluster."""
        return self.configuration_at(index)

    def _forget_configurations(self, index: int) -> None:
        """Keep the one that counted at ``index``, and all later ones."""
        while len(self.configurations) > 1 and self.configurations[1][0] <= index:
            del self.configurations[0]

    # The leader.

    def become_leader(self) -> None:
        """No snapshot is on its way."""
        self.sending = {}
        super().become_leader()

    def next_append(self, peer: str) -> AppendEntries | InstallSnapshot:
        """A piece of the snapshot, if the entries that a peer needs are gone."""
        if self.next_index[peer] > self.log.base_index:
            return super().next_append(peer)
        sending = self.sending.get(peer)
        if sending is None or sending.snapshot.last_index <= self.matched[peer]:
            assert self.snapshot is not None
            sending = self.sending[peer] = Sending(self.snapshot)
        self.probing[peer] = True
        sending.since = self.clock()
        snapshot, first = sending.snapshot, sending.offset
        last = first + self.timing.snapshot_piece_bytes
        self.witness.used("snapshot sent in pieces")
        return InstallSnapshot(
            self.term,
            self.name,
            snapshot.last_index,
            snapshot.last_term,
            snapshot.configuration,
            first,
            snapshot.state[first:last],
            last >= len(snapshot.state),
            self.round,
        )

    def may_be_lost(self, peer: str) -> bool:
        """A piece is given up when there was time for much more than the piece: it is larger than an append."""
        if self.next_index[peer] > self.log.base_index or peer not in self.sending:
            return super().may_be_lost(peer)
        return bool(self.clock() > self.sending[peer].since + self.timing.election_timeout / 2)

    def on_piece_received(self, answer: PieceReceived) -> None:
        """A follower has a piece, and says which one it needs next."""
        peer = answer.follower
        if not self.has_heard(answer) or peer not in self.sending:
            return
        self.reached(peer, answer.round)
        sending = self.sending[peer]
        if (answer.last_index, answer.offset) != (sending.snapshot.last_index, sending.offset):
            return  # the answer to an earlier piece, which has come before
        if answer.wanted:
            sending.offset = answer.wanted
        else:  # it has forgotten what it had: begin anew, with the newest one
            del self.sending[peer]
        if peer in self.probing:
            self.probing[peer] = False

    # The follower.

    def on_install_snapshot(self, piece: InstallSnapshot) -> None:
        """A piece of the leader's snapshot has come."""
        index = piece.last_index
        if not self.hear_leader(piece.term, piece.leader):
            self.send(piece.leader, Appended(self.term, self.name, False, index, 0, piece.round))
            return
        if index > self.commit_index:
            if self.log.term_at(index) == piece.last_term:
                self.commit_to(index)  # what the snapshot stands for is in the log
            else:
                wanted = self._put_together(piece)
                if wanted is not None:
                    self.send(
                        piece.leader, PieceReceived(self.term, self.name, index, piece.offset, wanted, piece.round)
                    )
                    return
        self.receiving = None
        self.send(piece.leader, Appended(self.term, self.name, True, index, 0, piece.round))

    def _put_together(self, piece: InstallSnapshot) -> int | None:
        """Add a piece to those that are here; the offset of the next one, None if the snapshot is whole now."""
        which = (piece.term, piece.last_index)
        if self.receiving is None or self.receiving[0] != which:
            self.receiving = (which, b"")
        state = self.receiving[1]
        if piece.offset != len(state):
            return len(state)
        state += piece.data
        if not piece.is_done:
            self.receiving = (which, state)
            return len(state)
        self.witness.used("snapshot installed")
        self._replace_by(Snapshot(piece.last_index, piece.last_term, piece.configuration, state))
        return None

    def _replace_by(self, snapshot: Snapshot) -> None:
        """Nothing of the log is needed, or agrees with the leader's."""
        self.snapshot = self.unwritten.snapshot = snapshot
        self.unwritten.from_index = None
        self.log.compact(snapshot.last_index, snapshot.last_term)
        self.durable_index = 0  # until the snapshot is on the disk
        self.configurations = [(snapshot.last_index, snapshot.configuration)]
        before, self.commit_index = self.commit_index, snapshot.last_index
        self.witness.committed(self, before)
