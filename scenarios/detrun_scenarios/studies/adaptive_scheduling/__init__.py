"""Adaptive scheduling: weights of the operating system's fair queues, learned for a mix that changes with the hour."""

from __future__ import annotations

from detrun_scenarios.frame.declaration import Invariant, Loss, Meaning, Parameter, Scenario
from detrun_scenarios.studies.adaptive_scheduling.governor import BOUNDED
from detrun_scenarios.studies.adaptive_scheduling.workload import program

_NICE = "Linux 6.1: all begin with nice 0"
_LINUX = "Linux 6.1"
_DECIDE = "they decide who runs first, and only the mean of that is smooth"

SCENARIO = Scenario(
    name="adaptive_scheduling",
    about="The operating system's scheduler under a changing mix, with weights that follow who wants a core.",
    parameters=(
        Parameter("bias", 0.0, (-3.0, 3.0), "", "logarithm of users' weight, on cores without batches", _NICE),
        Parameter("gain", 0.0, (-1.0, 1.4), "", "more of it, on cores that only batches want", _NICE),
        Parameter(
            "latency",
            0.006,
            (0.001, 0.1),
            "s",
            "in which each runs once",
            f"{_LINUX}, sched_latency_ns",
            log_scale=True,
        ),
        Parameter(
            "wakeup_granularity",
            0.001,
            (0.0001, 0.05),
            "s",
            "by which one who wakes must lag, to take the core",
            f"{_LINUX}, sched_wakeup_granularity_ns",
            log_scale=True,
        ),
    ),
    losses=(
        Loss(
            "slowdown",
            "of requests and of batches' stretches, the mean of both means",
            "",
            (
                Meaning("finite", ("latency", "wakeup_granularity"), _DECIDE, {"samples": 24}, share=0.5),
                Meaning("finite", ("bias", "gain"), _DECIDE, {"samples": 24}, share=0.1),
            ),
        ),
    ),
    invariants=(
        Invariant(BOUNDED, "from nice 19 to nice -20"),
        Invariant("no core sleeps while a thread waits for it", "see operating_system"),
        Invariant("no thread that can run is passed over for long", "see operating_system"),
        Invariant("every frame has one use", "see operating_system"),
    ),
    program=program,
    explore_options={"max_steps": 20_000},
)
