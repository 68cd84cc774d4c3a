"""A replicated key-value store in ordinary trio, and the demonstration that `make demo` runs on it.

Read `store` first, with `messages` and `network` beside it, then `history`; `demo` is what detrun can do with them.
"""

from __future__ import annotations

from detrun_scenarios.frame.declaration import Loss, Meaning, Parameter, Scenario
from detrun_scenarios.key_value.workload import program

_FROZEN = Meaning("local", ("link_latency", "retry_timeout"), "times of messages move smoothly on a frozen schedule")

SCENARIO = Scenario(
    name="key_value",
    about="A key-value store on three replicas that loses no acknowledged write.",
    parameters=(
        Parameter("link_latency", 0.005, (0.0005, 0.05), "s", "mean time of a message", log_scale=True),
        Parameter("retry_timeout", 0.06, (0.02, 1.0), "s", "until a client asks again", log_scale=True),
    ),
    losses=(Loss("write_latency", "mean time until a write is acknowledged", "s", (_FROZEN,)),),
    program=program,
)
