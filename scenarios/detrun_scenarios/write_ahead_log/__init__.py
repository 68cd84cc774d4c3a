"""A key-value store with a write-ahead log, one that is right and several that are wrong, on a disk that loses power.

``python -m detrun_scenarios.write_ahead_log`` shows each of them against every crash state of a small workload.
"""

from __future__ import annotations

from detrun_scenarios.frame.declaration import Bug, Invariant, Loss, Meaning, Parameter, Scenario
from detrun_scenarios.write_ahead_log.history import WRITES_SURVIVE
from detrun_scenarios.write_ahead_log.workload import FAULTS, program

_DISK = Meaning("local", ("write_seconds", "fsync_seconds"), "the times of the disk stretch what waits for them")
_GROUPS = Meaning(
    "finite",
    ("group_delay", "compact_after", "think_seconds"),
    "they decide which writes share a sync, or a snapshot, which a frozen schedule holds fixed",
    {"samples": 32},
)

SCENARIO = Scenario(
    name="write_ahead_log",
    about="A store with a write-ahead log and group commit, on a disk that loses power.",
    parameters=(
        Parameter(
            "group_delay", 0.0, (0.0, 0.05), "s", "a sync waits for others to join", "commit_delay of PostgreSQL"
        ),
        Parameter("compact_after", 4.0, (2.0, 200.0), "records", "of the log to a snapshot", "chosen", log_scale=True),
        Parameter("write_seconds", 0.001, (1e-5, 0.01), "s", "of a write to the disk", "a disk", log_scale=True),
        Parameter("fsync_seconds", 0.01, (1e-4, 0.1), "s", "mean of an fsync", "a disk that turns", log_scale=True),
        Parameter("think_seconds", 0.02, (0.001, 1.0), "s", "of a client, in the mean", "two fsyncs", log_scale=True),
    ),
    losses=(
        Loss("write_latency", "mean time until a write is acknowledged", "s", (_GROUPS, _DISK)),
        Loss("time_per_write", "of the whole run", "s", (_GROUPS, _DISK)),
    ),
    invariants=(Invariant(WRITES_SURVIVE, "what was acknowledged is there after every power loss"),),
    bugs=(
        Bug("without_fsync", "the log is never synced", places=("Store.put", "open_store")),
        Bug(
            "acknowledgement_before_fsync",
            "clients are told that a write is safe before it is",
            places=("Store.put", "Store._sync"),
        ),
        Bug("torn_tail_accepted", "recovery takes half a record", places=("Store.put", "open_store")),
        Bug("directory_not_synced", "nothing leads to the files", places=("open_store", "live")),
        Bug("snapshot_not_synced", "it takes its name before its content", places=("write_snapshot", "Store.compact")),
    ),
    faults=FAULTS,
    program=program,
)
