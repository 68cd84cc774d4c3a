"""A replicated key-value store in ordinary trio, and the demonstration that `make demo` runs on it.

Read `replica` first, with `messages` and `client` beside it, then `history` and `workload`; `demo` is what detrun can
do with them.
"""

from __future__ import annotations

from detrun_scenarios.frame.declaration import Bug, Invariant, Loss, Meaning, Parameter, Scenario
from detrun_scenarios.key_value.history import READS_ARE_CONSISTENT, WRITES_ARE_KEPT
from detrun_scenarios.key_value.workload import CUT_PRIMARIES, SWARM, program

_JUMPS = "a shorter one asks again, or elects, where a longer one would have waited: which a frozen schedule never does"

SCENARIO = Scenario(
    name="key_value",
    about="A key-value store on three replicas that loses no acknowledged write.",
    parameters=(
        Parameter("link_latency", 0.005, (0.0005, 0.05), "s", "mean time of a message", "one region", log_scale=True),
        Parameter("retry_timeout", 0.06, (0.02, 1.0), "s", "a client asks again", "twelve links", log_scale=True),
        Parameter("patience", 0.1, (0.03, 1.0), "s", "without a heartbeat", "five heartbeats", log_scale=True),
    ),
    losses=(
        Loss(
            "write_latency",
            "mean time until a write is acknowledged",
            "s",
            (
                Meaning("finite", ("retry_timeout", "patience"), _JUMPS, {"samples": 16}),
                Meaning("local", ("link_latency",), "a message moves smoothly with its link, and seldom past another"),
            ),
        ),
        Loss(
            "retries",
            "attempts in vain for an operation",
            "",
            (Meaning("finite", ("link_latency", "retry_timeout", "patience"), "it counts", {"samples": 16}),),
        ),
    ),
    invariants=(
        Invariant(READS_ARE_CONSISTENT, "a read returns nothing older than what had ended when it began"),
        Invariant(WRITES_ARE_KEPT, "every majority of the disks knows every acknowledged value"),
    ),
    bugs=(
        Bug(
            "hand_over_ignored",
            "a new primary believes its own disk alone",
            places=("Replica.count_promise", "Replica.serve"),
        ),
        Bug(
            "reads_alone",
            "a primary answers reads by itself",
            places=("ReadsAlone.serve", "Replica.serve"),
            faults=CUT_PRIMARIES,
        ),
        Bug(
            "acknowledges_early",
            "a primary acknowledges what only its own disk has",
            places=("AcknowledgesEarly.serve", "Replica.count_promise"),
        ),
        Bug(
            "late_write_undoes",
            "a write that comes late is taken for a new one",
            places=("LateWriteUndoes.serve", "LateWriteUndoes.serve"),
        ),
    ),
    faults=SWARM,
    program=program,
)
