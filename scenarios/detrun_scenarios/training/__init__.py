"""Training of a small network by several workers: a ring that adds up gradients, and a parameter server.

Read `parameter_server.server` and `parameter_server.worker` first, then `ring.coordinator` and `ring.member`. `model`
is what is learned, `loading` makes batches, and `invariants` watches.
"""

from __future__ import annotations

from detrun_scenarios.frame.declaration import Bug, Invariant, Loss, Meaning, Parameter, Scenario
from detrun_scenarios.training import invariants
from detrun_scenarios.training.faults import CRASHES, FAILURES, LOST_ANSWERS, POWER_CUTS, TROUBLE
from detrun_scenarios.training.pictures import draw
from detrun_scenarios.training.workload import program

_OPTIMIZER = ("step_size", "momentum", "weight_decay", "staleness_discount")
_BATCHES = ("batch_1", "batch_2", "batch_3", "slow_batch")
_GOYAL = "Goyal and others 2017, section 5.1"
_SCALED = "0.1 for 256 images there, in proportion for 16"
_GUESS = "a guess"
_SMOOTH = "no message depends on a number of the network, so that no schedule moves with it"
_LATER = "which entries are sent flips, but an entry that is kept back comes later"

SCENARIO = Scenario(
    name="training",
    about="Distributed training of a network: a ring, a parameter server, stale gradients, crashes.",
    parameters=(
        Parameter("step_size", 0.00625, (0.0005, 0.5), "", "of an update", _SCALED, log_scale=True),
        Parameter("momentum", 0.9, (0.0, 0.98), "", "of the moments, kept from one update to the next", _GOYAL),
        Parameter("weight_decay", 1e-4, (1e-6, 0.1), "", "of the weights, added to a gradient", _GOYAL, log_scale=True),
        Parameter("staleness_discount", 0.0, (-0.1, 2.0), "", "a stale step is divided by 1 + this × staleness", "SGD"),
        Parameter("staleness", 2.0, (0.0, 1000.0), "pushes", "that a worker may be ahead of the slowest", _GUESS),
        Parameter(
            "compression_ratio", 0.2, (0.005, 1.0), "", "share of a gradient that is sent", _GUESS, log_scale=True
        ),
        *(
            Parameter(name, 16.0, (2.0, 64.0), "images", f"in a batch of {whose}", _GUESS, log_scale=True)
            for name, whose in zip(_BATCHES, ("worker 1", "worker 2", "worker 3", "the straggler"), strict=True)
        ),
        Parameter(
            "checkpoint_interval", 0.1, (0.01, 2.0), "s", "between checkpoints of the server", _GUESS, log_scale=True
        ),
    ),
    losses=(
        Loss(
            "validation_loss",
            "cross-entropy of images kept for it, after a second with a parameter server",
            "",
            (
                Meaning("local", _OPTIMIZER, f"{_SMOOTH}; {_LATER}", {"samples": 8}, share=0.05),
                Meaning(
                    "finite",
                    ("staleness", "compression_ratio", *_BATCHES),
                    "who waits for whom, and how many updates there is time for, is decided by them",
                    {"samples": 40},
                    share=0.5,
                ),
            ),
        ),
        Loss(
            "ring_loss",
            "cross-entropy of images kept for it, after a second in a ring",
            "",
            (
                Meaning("local", ("step_size", "momentum", "weight_decay"), _SMOOTH, {"samples": 8}, share=0.05),
                Meaning(
                    "finite",
                    _BATCHES,
                    "how many rounds there is time for is decided by the slowest member of each",
                    {"samples": 40},
                    share=0.5,
                ),
            ),
        ),
        Loss(
            "bytes_sent",
            "of gradients and weights",
            "bytes/s",
            (
                Meaning(
                    "relaxed",
                    ("compression_ratio",),
                    "entries are counted, so that only a softened threshold has a slope",
                    {"samples": 8, "temperature": 0.1},
                    share=0.3,
                ),
            ),
        ),
        Loss(
            "time_lost",
            "share of the time that checkpoints and failures take",
            "",
            (
                Meaning(
                    "finite",
                    ("checkpoint_interval",),
                    "how much a failure takes back jumps with each checkpoint that it just misses",
                    {"samples": 60},
                    share=0.4,
                ),
            ),
            faults=FAILURES,
        ),
    ),
    invariants=(
        Invariant(invariants.ONCE, "of every worker, counting from what was restored"),
        Invariant(invariants.PUSHED_ONCE, "however often it comes"),
        Invariant(invariants.SERIAL, "what the server holds is its updates, computed a second time"),
        Invariant(invariants.BOUNDED, "no worker is further ahead of the slowest than the bound and one"),
        Invariant(invariants.RESTORED, "weights and moments of one checkpoint, to the last bit"),
        Invariant(invariants.CONSERVED, "compression loses nothing"),
        Invariant(invariants.REDUCED, "of the gradients of all members, in one round"),
        Invariant(invariants.REPLICAS, "weights and moments, to the last bit"),
        Invariant(invariants.BARRIERS, "within the time in which a dead member is noticed"),
    ),
    bugs=(
        Bug(
            "applied_twice",
            "a push that is repeated is applied again",
            ("AppliedTwice.is_new", "Worker._push"),
            LOST_ANSWERS,
            "server",
        ),
        Bug(
            "stale_moments",
            "moments become durable behind the file that names their checkpoint",
            ("Checkpoints._write", "Checkpoints._read"),
            POWER_CUTS,
            "slow_disk",
        ),
        Bug(
            "lost_update",
            "updates of two workers read the same weights",
            ("Layer.read", "Layer.write"),
            variant="server",
        ),
        Bug(
            "repeated_batch",
            "a worker goes on at its bookmark after a crash",
            ("Loader.done", "Loader.begin"),
            CRASHES,
            "server",
        ),
        Bug(
            "hanging_barrier",
            "a barrier waits for a member that is dead",
            ("Barrier.__init__", "HangingBarrier.leave"),
            variant="ring",
        ),
    ),
    program=program,
    faults=TROUBLE,
    explore_options={"max_steps": 20_000, "preemption": "sync"},
    draw=draw,
)
