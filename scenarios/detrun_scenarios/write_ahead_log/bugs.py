"""Stores that are wrong, each without one precaution."""

from __future__ import annotations

from collections.abc import Mapping

from detrun_scenarios.write_ahead_log.store import Discipline

BUGS: Mapping[str, Discipline] = {
    "without_fsync": Discipline(syncs_log=False),
    "acknowledgement_before_fsync": Discipline(acknowledges_after_sync=False),
    "torn_tail_accepted": Discipline(checks_tail=False),
    "directory_not_synced": Discipline(syncs_directory=False),
    "snapshot_not_synced": Discipline(syncs_snapshot=False),
}
"""Wrong on a disk without faults."""

RETRIES_FSYNC = Discipline(stops_after_failed_fsync=False)
"""Wrong on a disk whose fsync can fail."""
