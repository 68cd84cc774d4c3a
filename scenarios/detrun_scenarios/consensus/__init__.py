"""Raft, a replicated state machine: elections, a replicated log, snapshots, reads, changes of membership.

Read `core` first: it is the protocol as state transitions, a chapter of the dissertation in each module, beside figure
2. `replica`, `storage` and `client` give it disks, clocks, a network and users; `cluster` puts them into a world, and
`invariants` watches.
"""

from __future__ import annotations

from detrun_scenarios.consensus.faults import (
    CUT_LEADERS,
    DRIFTING_LEADERS,
    FALLEN_LEADERS,
    FORGETFUL_VOTERS,
    RESTARTS,
    SWARM,
)
from detrun_scenarios.consensus.pictures import draw
from detrun_scenarios.consensus.workload import program
from detrun_scenarios.frame.declaration import Bug, Invariant, Loss, Meaning, Parameter, Scenario

_PAPER = "Ongaro and Ousterhout, USENIX ATC 2014"
_SERVERS = ("server1", "server2", "server3", "server4", "server5")
_WEIGHTS = tuple(f"weight_{name}" for name in _SERVERS)

SCENARIO = Scenario(
    name="consensus",
    about="Raft with leases, snapshots and joint consensus, on machines that crash and lose power.",
    parameters=(
        Parameter(
            "election_timeout", 0.150, (0.05, 1.0), "s", "least time without a leader", f"{_PAPER}, 5.6", log_scale=True
        ),
        Parameter(
            "election_spread", 0.150, (0.005, 0.5), "s", "time-outs are drawn from", f"{_PAPER}, 9.3", log_scale=True
        ),
        Parameter(
            "heartbeat_interval", 0.050, (0.01, 0.2), "s", "between rounds", "a third of the time-out", log_scale=True
        ),
        Parameter("batch_delay", 0.001, (0.0, 0.05), "s", "the first of a batch waits", "the time of an fsync"),
        Parameter("batch_size", 16.0, (1.0, 64.0), "requests", "at which a batch is full", "", log_scale=True),
        *(
            Parameter(name, 1.0, (0.05, 20.0), "", "share of the leader's bandwidth", "all alike", log_scale=True)
            for name in _WEIGHTS
        ),
        Parameter("lease_margin", 0.050, (0.0, 0.15), "s", "lease is shorter than the time-out", "clocks within 20 %"),
        Parameter(
            "lease_share", 0.75, (0.05, 0.95), "", "reads that trust a lease, where reads are measured", "a guess"
        ),
    ),
    losses=(
        Loss(
            "commit_latency",
            "mean time of a write, from request to answer",
            "s",
            (
                Meaning(
                    "local",
                    ("batch_delay", *_WEIGHTS),
                    "each message moves smoothly with its delay, and which of two comes first hardly matters",
                    {"samples": 32},
                    share=0.5,
                ),
                Meaning(
                    "relaxed",
                    ("batch_size",),
                    "requests are counted, so that only a softened threshold has a slope",
                    {"samples": 16, "temperature": 0.25},
                    share=0.05,
                ),
            ),
        ),
        Loss(
            "unavailability",
            "mean time from a leader's crash to the next commitment",
            "s",
            (
                Meaning(
                    "finite",
                    ("election_timeout", "election_spread", "heartbeat_interval"),
                    "where among its heartbeats a leader crashes, and whether elections collide, differs between runs",
                    {"samples": 40},
                    share=0.4,
                ),
            ),
        ),
        Loss(
            "read_latency",
            "mean time of a read, from request to answer",
            "s",
            (
                Meaning(
                    "finite",
                    ("election_timeout", "heartbeat_interval", "lease_margin"),
                    "whether a read comes within a lease differs between runs; the time of a read itself does not move",
                    {"samples": 32},
                ),
                Meaning(
                    "policy",
                    ("lease_share",),
                    "each read draws whether a lease is enough, and only the probability of that moves",
                    {"samples": 300},
                    share=0.25,
                ),
            ),
        ),
        Loss(
            "messages_per_commit",
            "messages between servers for each committed entry",
            "messages",
            (
                Meaning(
                    "finite",
                    ("election_timeout", "heartbeat_interval", "batch_delay", "batch_size", "lease_margin"),
                    "a count moves by whole messages only, so that its local derivative is 0",
                    {"samples": 24},
                    share=0.4,
                ),
            ),
        ),
    ),
    invariants=(
        Invariant("election safety", "a term has at most one leader"),
        Invariant("leader append-only", "a leader drops none of its entries"),
        Invariant("log matching", "entries of one index and term are the same, and so is all before them"),
        Invariant("leader completeness", "a leader has every entry that was committed before its term"),
        Invariant("state-machine safety", "no two servers apply different entries at one index"),
        Invariant("linearizable history", "clients see one object that does one operation at a time"),
    ),
    bugs=(
        Bug(
            "vote_not_persisted",
            "a crash makes a server forget its vote",
            ("Elections.on_request_vote", "Elections.on_vote"),
            FORGETFUL_VOTERS,
            "elections",
        ),
        Bug(
            "old_term_committed",
            "an entry of an older term is committed by counting",
            ("OldTermCommitted.may_commit", "Elections.become_leader"),
            FALLEN_LEADERS,
            "slow appends",
        ),
        Bug(
            "stale_read",
            "a leader reads without a lease",
            ("StaleRead.may_answer_at_once", "Replica.apply"),
            CUT_LEADERS,
            "leases",
        ),
        Bug(
            "stale_append_truncates",
            "an append that was overtaken shortens the log",
            ("StaleAppendTruncates.store", "Replica.stream"),
        ),
        Bug(
            "duplicate_applied",
            "a repeated request takes effect again",
            ("Client.call", "StateMachine._carry_out"),
        ),
        Bug(
            "snapshot_drops_configuration",
            "a snapshot says who the servers were at first",
            ("Snapshots.take_snapshot", "Elections.become_leader"),
            RESTARTS,
            "replacement",
        ),
        Bug(
            "lease_trusts_clock",
            "a lease has no margin for clocks of other rates",
            ("LeaseTrustsClock.lease_seconds", "Replica.apply"),
            DRIFTING_LEADERS,
            "leases",
        ),
    ),
    program=program,
    faults=SWARM,
    explore_options={"max_steps": 20_000},
    draw=draw,
)
