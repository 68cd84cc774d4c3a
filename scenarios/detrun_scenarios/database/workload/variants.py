"""Variants of the small workload: what a bug needs beside faults to show in a short run.

A variant is a change of the ordinary small run, which draws its settings (`runs`): nothing is drawn, what the variant
names has its values, and there is no vacuum unless it names one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from detrun_scenarios.database.server.machine import Hardware
from detrun_scenarios.database.workload.bank import Bank


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One change.

    Attributes:
        workload: how many do what, by the names of `Workload`.
        habits: of clients, by the names of `Habits`.
        settings: those of `Settings` that are no parameters.
    """

    workload: Mapping[str, Any] = field(default_factory=dict)
    habits: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


# Clients beside the server, who ask as soon as they are answered: sessions work at the same instants.
BUSY: Mapping[str, Any] = {"think_seconds": 0.0}
BESIDE = Hardware(link_seconds=0.0)

VARIANTS: Mapping[str, Variant] = {
    # No loss of power but those of the faults, so that it is their moment which matters.
    "power stays": Variant(
        workload={"ends_without_power": False},
        settings={"level": "serializable", "policy": "clock"},
    ),
    # Few customers, at whom all clients look at the same time.
    "bank": Variant(
        workload={"bank": Bank(customers=2)},
        habits={"transactions": 3, "think_seconds": 0.002},
        settings={"level": "serializable", "policy": "clock"},
    ),
    # The same at the level where a reader does not hinder a writer.
    "bank under snapshots": Variant(
        workload={"bank": Bank(customers=1, money=1000, shares={"withdraw": 1.0}), "hardware": BESIDE},
        habits={"transactions": 3, **BUSY},
        settings={"level": "snapshot", "policy": "clock"},
    ),
    # More pages than there are places for, and clients that read all of them.
    "crowded bank": Variant(
        workload={"bank": Bank(customers=30, shares={"deposit": 0.6, "audit": 0.4}), "hardware": BESIDE, "clients": 2},
        habits={"transactions": 3, **BUSY},
        settings={"level": "snapshot", "policy": "lru2", "sessions_max": 2, "page_bytes": 256},
    ),
    # A replica, at which one looks all the time.
    "replicated": Variant(
        workload={"has_replica": True},
        habits={"transactions": 5, "think_seconds": 0.003},
        settings={
            "level": "snapshot",
            "policy": "clock",
            "replication_batch": 4.0,
            "replication_delay": 0.0005,
            "vacuum_interval": 0.02,
        },
    ),
    # Small pages, so that leaves split.
    "growing bank": Variant(
        workload={"bank": Bank(customers=24, shares={"deposit": 1.0}), "hardware": BESIDE, "clients": 4},
        habits={"transactions": 2, **BUSY},
        settings={"level": "snapshot", "policy": "clock", "page_bytes": 256},
    ),
}
