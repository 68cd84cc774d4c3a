"""A transactional store: pages and a buffer pool, a log and recovery, trees, transactions, SQL, a server, clients.

Read from below: `storage`, `log`, `tree`, `transactions`, `sql`, `server`; then `workload` for what is asked of it, and
`invariants` for what must be true of it. The program is made when it is wanted, for the SQL needs sqlglot.
"""

from __future__ import annotations

from collections.abc import Mapping

from detrun_scenarios.database.faults import NO_FAULTS, POWER_LOSSES, SWARM
from detrun_scenarios.frame.declaration import Bug, Invariant, Loss, Meaning, Parameter, Program, Scenario, Setting

_POSTGRES = "PostgreSQL 16"


def program(setting: Setting) -> Program:
    """See `workload.runs.program`."""
    from detrun_scenarios.database.workload.runs import program as made

    return made(setting)


def draw(path: str, params: Mapping[str, float], seed: int) -> None:
    """See `pictures`."""
    from detrun_scenarios.database.pictures import draw as drawn

    drawn(path, params, seed)


SCENARIO = Scenario(
    name="database",
    about="A transactional store with a write-ahead log, whose server crashes and loses power.",
    parameters=(
        Parameter("buffer_split", 0.5, (0.2, 0.8), "", "share of the frames for indexes", "even"),
        Parameter(
            "group_commit_delay",
            0.0005,
            (0.0, 0.01),
            "s",
            "one who commits waits for others",
            f"{_POSTGRES}, commit_delay: half a flush is advised",
        ),
        Parameter(
            "checkpoint_interval",
            0.05,
            (0.005, 1.0),
            "s",
            "between checkpoints",
            f"{_POSTGRES}, checkpoint_timeout of 5 min: there are ten in a run of half a second",
            log_scale=True,
        ),
        Parameter(
            "writer_interval",
            0.02,
            (0.002, 1.0),
            "s",
            "between rounds of the background writer",
            f"{_POSTGRES}, bgwriter_delay of 200 ms, in tenths",
            log_scale=True,
        ),
        Parameter("read_ahead", 8.0, (1.0, 32.0), "pages", "that a scan reads at once", "", log_scale=True),
        Parameter(
            "replication_batch", 16.0, (1.0, 128.0), "records", "shipped to the replica at once", "", log_scale=True
        ),
        Parameter("random_page_cost", 4.0, (0.5, 20.0), "", "beside 1 for a page in order", _POSTGRES, log_scale=True),
        Parameter("cpu_tuple_cost", 0.01, (0.001, 0.1), "", "of a row, beside that 1", _POSTGRES, log_scale=True),
    ),
    losses=(
        Loss(
            "mean_latency",
            "mean time of a transaction, from request to answer",
            "s",
            (
                Meaning(
                    "finite",
                    ("group_commit_delay",),
                    "it costs those who wait, and lets more of them share a sync, which no single schedule shows",
                    {"samples": 16},
                    share=0.5,
                ),
                Meaning(
                    "finite",
                    ("checkpoint_interval", "writer_interval", "buffer_split"),
                    "which page is there, and what is being written meanwhile, differs between runs",
                    {"samples": 16},
                    share=0.5,
                ),
            ),
        ),
        Loss(
            "p99_latency",
            "99th percentile of the same in a run",
            "s",
            (
                Meaning(
                    "finite",
                    ("group_commit_delay", "checkpoint_interval", "writer_interval"),
                    "the slowest are those that are tried again, and a delay makes more of them",
                    {"samples": 16},
                    share=0.5,
                ),
            ),
        ),
        Loss(
            "bytes_written",
            "to log and pages, for each transaction",
            "bytes",
            (
                Meaning(
                    "finite",
                    ("checkpoint_interval", "writer_interval", "group_commit_delay"),
                    "a count moves by whole pages and records only, so that its local derivative is 0",
                    {"samples": 12},
                    share=0.5,
                ),
            ),
        ),
        Loss(
            "recovery_time",
            "mean time from power to service",
            "s",
            (
                Meaning(
                    "finite",
                    ("checkpoint_interval", "writer_interval"),
                    "how much log there is to read, and how many pages, is counted",
                    {"samples": 24},
                    share=0.5,
                ),
            ),
        ),
        Loss(
            "replica_lag",
            "mean time from when a batch is ready until the replica has applied it",
            "s",
            (
                Meaning(
                    "finite",
                    ("replication_batch",),
                    "records are counted: a batch is full at one or the next, and each costs the replica a sync",
                    {"samples": 24},
                    share=0.4,
                ),
            ),
        ),
        Loss(
            "read_latency",
            "mean time of a read, where few rows get most reads",
            "s",
            (
                Meaning(
                    "finite",
                    ("buffer_split", "read_ahead"),
                    "a page is there or is not",
                    {"samples": 16},
                    share=0.3,
                ),
                Meaning(
                    "policy",
                    ("random_page_cost", "cpu_tuple_cost"),
                    "plans are drawn by their costs, and only the probability of each moves",
                    {"samples": 40, "baseline": "twin"},
                    share=0.3,
                ),
            ),
        ),
    ),
    invariants=(
        Invariant("what was acknowledged is there", "after a power loss, all that clients were told"),
        Invariant("what was written together fits together", "TPC-C's conditions 1 to 4, 6, 8, 9 and 12"),
        Invariant("trees lead to all rows", "each index is a tree, and has an entry for each version"),
        Invariant("committed rows, after recovery", "what was committed, all of it, and nothing else"),
        Invariant("serializable history", "no cycle of dependencies that the level of isolation excludes"),
        Invariant("whole pages", "no page is used of which a power loss has left a part"),
        Invariant("pages that are used stay", "no page leaves memory while a task works with it"),
        Invariant("no circle of latches", "no tasks wait for each other's latches"),
        Invariant("a replica applies the log in its order", "each batch where the one before it ends"),
        Invariant("a replica shows what the primary has committed", "whole transactions, and in the end all of them"),
    ),
    bugs=(
        Bug(
            "ack_before_fsync",
            "a commitment is acknowledged from memory",
            ("AckBeforeFsync.make_durable", "Segments.fsync"),
            POWER_LOSSES,
            variant="power stays",
        ),
        Bug(
            "write_skew",
            "a level called serializable misses an edge",
            ("WriteSkew.ignores", "Conflicts.depends"),
            NO_FAULTS,
            "bank",
        ),
        Bug(
            "lost_update",
            "a newer version is written over",
            ("LostUpdate.update", "Transaction._look_at"),
            NO_FAULTS,
            "bank under snapshots",
        ),
        Bug(
            "torn_page_accepted",
            "a page is used without a look at its checksum",
            ("TornPageAccepted.opened", "Volume.write"),
            POWER_LOSSES,
            variant="power stays",
        ),
        Bug(
            "evicted_while_pinned",
            "a page leaves memory while it is used",
            ("EvictedWhilePinned.may_go", "BufferPool.pin"),
            NO_FAULTS,
            "crowded bank",
        ),
        Bug(
            "latch_order",
            "a split latches from below",
            ("LatchOrder._node_above", "Tree._leaf"),
            NO_FAULTS,
            "growing bank",
        ),
        Bug(
            "replica_out_of_order",
            "a replica applies batches as they come",
            ("ReplicaOutOfOrder.next_to_apply", "Batches.arrived"),
            NO_FAULTS,
            "replicated",
        ),
    ),
    program=program,
    faults=SWARM,
    explore_options={"max_steps": 20_000},
    draw=draw,
)
