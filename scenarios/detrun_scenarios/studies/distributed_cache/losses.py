"""What a run of the cache costs: time, misses, and answers that are out of date."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detrun_scenarios.frame.measured import mean
from detrun_scenarios.studies.distributed_cache.front import Front

STALE_SECONDS = 0.03  # of latency, that a stale answer counts for


def losses_of(front: Front) -> Mapping[str, Any]:
    """Every loss by name."""
    latency = mean(front.latencies)
    stale = front.stale / max(len(front.latencies), 1)
    missed = [one for of_class in front.missed.values() for one in of_class]
    return {
        "latency": latency,
        "misses": mean(missed),
        "staleness": stale,
        "cost": latency + STALE_SECONDS * stale,
    }
