"""Learned replication: quorums, fan-out, hedging and batches of a replicated store, learned under failures.

Read `replica` and `coordinator` first; `workload` sends the operations, and `orders` is the theory behind.
"""

from __future__ import annotations

from detrun.world import Crash, FaultPlan, Swarm
from detrun_scenarios.frame.declaration import Invariant, Loss, Meaning, Parameter, Scenario
from detrun_scenarios.studies.learned_replication.coordinator import NO_LOST_WRITE, ON_DISKS, REPLICAS
from detrun_scenarios.studies.learned_replication.pictures import draw
from detrun_scenarios.studies.learned_replication.workload import program

_DRAWN = "between two whole numbers each operation draws one, and only the probability moves"
_GATHERS = (
    "a longer delay gathers more writes, which then wait for less than all of it: a frozen run has each wait it out"
)
_DECIDES = "whether the others are asked is a decision"
_STRETCHED = "it stretches what a quorum waits for, whichever replica is the last of it"
_COUNTED = "messages are counted, and old versions, too"
_QUORUMS = ("write_quorum", "read_quorum", "fan_out")
_BY_DRAWS = {"samples": 60}

CRASHES = FaultPlan(
    tuple(Crash(node="replica*", between=(at, at + 0.1), down_seconds=0.25, allow_no_effect=True) for at in (0.2, 0.8))
)
SWARM = Swarm(
    nodes=tuple(f"replica{index}" for index in range(REPLICAS)),
    seconds=0.5,
    faults=3,
    down_max=2,
    mean_seconds=0.15,
    weights=dict.fromkeys(("disk_error", "disk_damage", "clock", "buggify", "reset", "bandwidth", "power_loss"), 0.0),
)

SCENARIO = Scenario(
    name="learned_replication",
    about="Five replicas: quorums, fan-out, hedging and batches, with slow replicas and crashes.",
    parameters=(
        Parameter("write_quorum", 3.0, (1.0, 5.0), "replicas", "that have a write", "a majority"),
        Parameter("read_quorum", 3.0, (1.0, 5.0), "replicas", "that answer a read", "a majority"),
        Parameter("fan_out", 5.0, (1.0, 5.0), "replicas", "that a read asks at first", "Dynamo: all"),
        Parameter("hedge_delay", 0.02, (0.0005, 0.1), "s", "until a read asks the others", "a guess", log_scale=True),
        Parameter(
            "batch_delay",
            0.002,
            (0.0001, 0.02),
            "s",
            "for which writes are gathered",
            "Cassandra, commitlog_sync_batch_window",
            log_scale=True,
        ),
        Parameter("replica_seconds", 0.004, (0.001, 0.02), "s", "mean time of a message", "a disk", log_scale=True),
    ),
    losses=(
        Loss(
            "write_latency",
            "mean time until a write is acknowledged",
            "s",
            (
                Meaning("policy", ("write_quorum",), _DRAWN, _BY_DRAWS),
                Meaning("finite", ("batch_delay",), _GATHERS, {"samples": 16}, share=0.3),
                Meaning("local", ("replica_seconds",), _STRETCHED, {"samples": 8}),
            ),
            faults=CRASHES,
        ),
        Loss(
            "read_latency",
            "mean time of a read",
            "s",
            (
                Meaning("policy", ("read_quorum", "fan_out"), _DRAWN, _BY_DRAWS),
                Meaning("finite", ("hedge_delay",), _DECIDES, {"samples": 16}, share=0.3),
            ),
            faults=CRASHES,
        ),
        Loss(
            "staleness",
            "reads that miss an acknowledged write",
            "",
            (Meaning("policy", ("write_quorum", "read_quorum"), _DRAWN, _BY_DRAWS),),
            faults=CRASHES,
        ),
        Loss(
            "messages",
            "for an operation",
            "",
            (
                Meaning("policy", ("fan_out",), _DRAWN, _BY_DRAWS),
                Meaning("finite", ("hedge_delay", "batch_delay"), _COUNTED, {"samples": 16}, share=0.3),
            ),
            faults=CRASHES,
        ),
        Loss(
            "cost",
            "latency, 50 ms for each stale read, and half a millisecond for each message",
            "s",
            (
                Meaning(
                    "finite",
                    (*_QUORUMS, "hedge_delay", "batch_delay"),
                    "messages and old versions are counted, and quorums that are whole numbers are ties",
                    {"samples": 24},
                    share=0.2,
                ),
            ),
            faults=CRASHES,
        ),
    ),
    invariants=(
        Invariant(NO_LOST_WRITE, "whatever crashes: two such quorums have a replica in common"),
        Invariant(ON_DISKS, "before the client hears of it"),
    ),
    program=program,
    faults=SWARM,
    draw=draw,
)
