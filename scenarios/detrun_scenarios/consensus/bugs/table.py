"""The planted bugs by name, each as the parts of a server that has it."""

from __future__ import annotations

from collections.abc import Mapping

from detrun_scenarios.consensus.bugs.duplicate_applied import DuplicateApplied
from detrun_scenarios.consensus.bugs.lease_trusts_clock import LeaseTrustsClock
from detrun_scenarios.consensus.bugs.old_term_committed import OldTermCommitted
from detrun_scenarios.consensus.bugs.snapshot_drops_configuration import SnapshotDropsConfiguration
from detrun_scenarios.consensus.bugs.stale_append_truncates import StaleAppendTruncates
from detrun_scenarios.consensus.bugs.stale_read import StaleRead
from detrun_scenarios.consensus.bugs.vote_not_persisted import VoteNotPersisted
from detrun_scenarios.consensus.replica import Parts

BUGS: Mapping[str, Parts] = {
    "vote_not_persisted": Parts(storage=VoteNotPersisted),
    "old_term_committed": Parts(raft=OldTermCommitted),
    "stale_read": Parts(raft=StaleRead),
    "stale_append_truncates": Parts(raft=StaleAppendTruncates),
    "duplicate_applied": Parts(machine=DuplicateApplied),
    "snapshot_drops_configuration": Parts(raft=SnapshotDropsConfiguration),
    "lease_trusts_clock": Parts(raft=LeaseTrustsClock),
}
