"""Snapshots: the state machine's state stands for the entries that led to it.

A server takes one by itself whenever its log has grown, and keeps some entries behind it for peers that lag a little.
A leader that has dropped what a peer needs next sends its snapshot instead. A snapshot holds the configuration that
counted at its end: the entry that said so is among those that are gone.

Source: Ongaro 2014, chapter 5; figure 5.3. Departure: a snapshot is sent whole.
"""

from __future__ import annotations

from detrun_scenarios.consensus.core.entries import Configuration, Snapshot
from detrun_scenarios.consensus.core.messages import Appended, InstallSnapshot
from detrun_scenarios.consensus.core.replication import Replication


class Snapshots(Replication):
    """How logs stay short."""

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
            self.log.compact(base, base_term)
            self._forget_configurations(base)

    def configuration_for_snapshot(self, index: int) -> Configuration:
        """What a snapshot up to ``index`` says about the cluster."""
        return self.configuration_at(index)

    def _forget_configurations(self, index: int) -> None:
        """Keep the one that counted at ``index``, and all later ones."""
        while len(self.configurations) > 1 and self.configurations[1][0] <= index:
            del self.configurations[0]

    def on_install_snapshot(self, install: InstallSnapshot) -> None:
        """The leader's snapshot has come."""
        snapshot = install.snapshot
        index = snapshot.last_index
        if not self.hear_leader(install.term, install.leader):
            self.send(install.leader, Appended(self.term, self.name, False, index, 0, install.round))
            return
        if index > self.commit_index:
            if self.log.term_at(index) == snapshot.last_term:
                self.commit_to(index)  # what the snapshot stands for is in the log
            else:
                self._replace_by(snapshot)
        self.send(install.leader, Appended(self.term, self.name, True, index, 0, install.round))

    def _replace_by(self, snapshot: Snapshot) -> None:
        """Nothing of the log is needed, or agrees with the leader's."""
        self.snapshot = self.unwritten.snapshot = snapshot
        self.unwritten.from_index = None
        self.log.compact(snapshot.last_index, snapshot.last_term)
        self.durable_index = 0  # until the snapshot is on the disk
        self.configurations = [(snapshot.last_index, snapshot.configuration)]
        before, self.commit_index = self.commit_index, snapshot.last_index
        self.witness.committed(self, before)
