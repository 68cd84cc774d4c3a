"""Variants of the small workload: what a bug needs beside faults to show in a short run.

A variant is a change of the ordinary small run, which draws its settings (`workload`): nothing is drawn, parameters are
multiplied, other settings have fixed values, and the operator does what the variant says or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One change.

    Attributes:
        factors: of parameters of the scenario, so that `--param` still has its say.
        settings: those of `Settings` that are no parameters.
        layout, habits: machines and clients, by the names of `Layout` and `Habits`.
        members: that the operator makes the voters as soon as there is a leader; empty for no change.
    """

    factors: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    layout: Mapping[str, Any] = field(default_factory=dict)
    habits: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[str, ...] = ()


VARIANTS: Mapping[str, Variant] = {
    # Elections follow each other closely, and none has a lease to wait for.
    "elections": Variant(
        factors={"election_spread": 0.1},
        settings={"has_leases": False},
        layout={"spares": 0, "clients": 2, "readers": 0},
        habits={"operations": 2},
    ),
    # Appends of one entry each, on a narrow line: a leader that falls has written more than it has sent.
    "slow appends": Variant(
        factors={"heartbeat_interval": 2.0, "election_timeout": 1.33, "election_spread": 0.67},
        settings={"has_leases": False, "append_entries_max": 1, "bandwidth": 4_000.0},
        layout={"spares": 0, "clients": 2, "readers": 0},
        habits={"operations": 3, "retry_seconds": 0.5, "think_seconds": 0.5},
    ),
    # The next leader is elected as soon as the time-out is over.
    "leases": Variant(
        factors={"election_spread": 0.07},
        settings={"has_leases": True},
        layout={"spares": 0, "clients": 2, "readers": 1, "drift": 0.0},
        habits={"operations": 24, "think_seconds": 0.02, "keys": 1},
    ),
    # One server is replaced early, and snapshots are taken after few entries.
    "replacement": Variant(
        settings={"snapshot_entries": 4},
        layout={"clients": 2, "readers": 0, "drift": 0.0},
        habits={"operations": 30, "think_seconds": 0.04},
        members=("server1", "server2", "server4"),
    ),
}
