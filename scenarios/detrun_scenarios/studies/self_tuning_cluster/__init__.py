"""A cluster that sizes itself: an autoscaler whose thresholds and cool-downs are learned, with starts that take time.

Read `cluster` first, then `scaler` and `load`; `erlang` is the theory behind.
"""

from __future__ import annotations

from detrun_scenarios.frame.declaration import Invariant, Loss, Meaning, Parameter, Scenario
from detrun_scenarios.studies.self_tuning_cluster.cluster import SERVED_ONCE, WITHIN_LIMITS, WORK_CONSERVED
from detrun_scenarios.studies.self_tuning_cluster.pictures import draw
from detrun_scenarios.studies.self_tuning_cluster.scaler import COOLED_DOWN
from detrun_scenarios.studies.self_tuning_cluster.workload import program

_RULE = ("upper", "lower", "step_out", "step_in", "out_cooldown", "in_cooldown", "alertness")
_DECIDES = "it decides whether and when machines are started and stopped, at looks that are counted"
_BY_RULE = Meaning("finite", _RULE, _DECIDES, {"samples": 24}, share=0.2)
_WAITED = "requests behind each other wait it out, and the scaler seldom decides otherwise for it"
_AWS = "Amazon EC2 Auto Scaling"
_TENTH = "a tenth, as the day is short"

SCENARIO = Scenario(
    name="self_tuning_cluster",
    about="An autoscaler with thresholds and cool-downs, machines that start slowly, a load that varies.",
    parameters=(
        Parameter("upper", 0.7, (0.3, 0.98), "", "utilization above which machines are started", f"{_AWS}: 70 %"),
        Parameter("lower", 0.3, (0.02, 0.95), "", "utilization below which machines are stopped", f"{_AWS}: 30 %"),
        Parameter("step_out", 0.1, (0.02, 1.0), "", "share that is started", f"{_AWS}: 10 %", log_scale=True),
        Parameter("step_in", 0.1, (0.02, 1.0), "", "share that is stopped", f"{_AWS}: 10 %", log_scale=True),
        Parameter("out_cooldown", 6.0, (1.0, 60.0), "s", "before more are started", f"60 s, {_TENTH}", log_scale=True),
        Parameter(
            "in_cooldown", 30.0, (1.0, 120.0), "s", "before any are stopped", f"{_AWS}: 300 s, {_TENTH}", log_scale=True
        ),
        Parameter("alertness", 0.5, (0.05, 1.0), "", "weight of the last look", "a guess", log_scale=True),
        Parameter("cold_seconds", 8.0, (0.5, 60.0), "s", "mean time of a start", f"80 s, {_TENTH}", log_scale=True),
        Parameter("service_seconds", 0.5, (0.1, 0.8), "s", "mean time of a request", "a guess", log_scale=True),
    ),
    losses=(
        Loss(
            "cost",
            "machine-seconds for each request, and four times its wait",
            "s",
            (_BY_RULE, Meaning("finite", ("cold_seconds", "service_seconds"), _DECIDES, {"samples": 24})),
        ),
        Loss(
            "wait",
            "mean time in the queue",
            "s",
            (_BY_RULE, Meaning("finite", ("cold_seconds", "service_seconds"), _DECIDES, {"samples": 24})),
        ),
        Loss("machines", "mean number that is paid for", "", (_BY_RULE,)),
    ),
    invariants=(
        Invariant(SERVED_ONCE, "although machines are stopped meanwhile"),
        Invariant(WORK_CONSERVED, "one that is ready takes what waits"),
        Invariant(WITHIN_LIMITS, "of the cluster"),
        Invariant(COOLED_DOWN, "of the scaler"),
    ),
    program=program,
    draw=draw,
)
