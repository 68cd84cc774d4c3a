"""A key-value store with a write-ahead log, one that is right and several that are wrong, on a disk that loses power.

``python -m detrun_scenarios.write_ahead_log`` shows each of them against every crash state of a small workload.
"""

from __future__ import annotations

from detrun_scenarios.frame.declaration import Loss, Scenario
from detrun_scenarios.write_ahead_log.workload import program

SCENARIO = Scenario(
    name="write_ahead_log",
    about="A store with a write-ahead log on a disk that loses power.",
    parameters=(),
    losses=(Loss("unacknowledged", "one over the writes that were acknowledged", "", ()),),
    program=program,
)
