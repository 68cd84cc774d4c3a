"""A snapshot says who the servers were at first, not who they are: a restart brings back a majority that was (5.1)."""

from __future__ import annotations

from detrun_scenarios.consensus.core.entries import Configuration
from detrun_scenarios.consensus.core.raft import Raft


class SnapshotDropsConfiguration(Raft):
    """Puts the configuration of the snapshot before into each snapshot."""

    def configuration_for_snapshot(self, index: int) -> Configuration:
        """See `Snapshots.configuration_for_snapshot`."""
        # right: self.configuration_at(index)
        return self.first_configuration if self.snapshot is None else self.snapshot.configuration
