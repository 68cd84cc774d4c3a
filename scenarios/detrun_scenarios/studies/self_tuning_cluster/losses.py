"""What a run of the cluster costs: waiting, machines, and both together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detrun_scenarios.frame.measured import mean
from detrun_scenarios.studies.self_tuning_cluster.cluster import Cluster

WAIT_PRICE = 4.0  # machine-seconds that a second of waiting is worth


def losses_of(cluster: Cluster, seconds: float) -> Mapping[str, Any]:
    """Every loss by name."""
    wait, paid = mean(cluster.waits), cluster.paid()
    return {
        "wait": wait,
        "machines": paid / seconds,
        "cost": paid / max(len(cluster.waits), 1) + WAIT_PRICE * wait,
    }
