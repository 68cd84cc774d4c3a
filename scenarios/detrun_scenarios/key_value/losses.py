"""What a run of the store costs: the time of a write, and how often clients ask in vain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detrun_scenarios.key_value.history import History


def losses_of(history: History) -> Mapping[str, Any]:
    """Every loss by name."""
    return {
        "write_latency": sum(history.write_latencies) / len(history.write_latencies),
        "retries": history.retries / history.operations,
    }
