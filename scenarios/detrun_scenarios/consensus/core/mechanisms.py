"""The names of Raft's mechanisms, by which a server says that it has just used one.

A run of the large workload shows how often each was used; one that is never used would be untested code.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Mechanism: TypeAlias = Literal[
    "pre-vote won",
    "election won",
    "requests in a batch",
    "append ahead of answers",
    "logs compared after a refusal",
    "commitment by a quorum",
    "fsync before the answer",
    "log compacted by a snapshot",
    "snapshot sent in pieces",
    "snapshot installed",
    "learner caught up",
    "joint configuration left",
    "read by lease",
    "read by a round of heartbeats",
    "repeated request answered",
    "leadership handed over",
]
"""See `replication`, `snapshots`, `membership`, `reads`, `transfer`, and `Replica` for the disk and the sessions."""

MECHANISMS: tuple[Mechanism, ...] = get_args(Mechanism)
