"""Who asks the store for how much, and when a primary goes down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detrun_scenarios.frame.declaration import Program, Setting, Size
from detrun_scenarios.key_value.store import DEMONSTRATION, Workload, main

WORKLOADS: Mapping[Size, Workload] = {
    "small": Workload(clients=3, operations=12, crashes=(0.2,)),
    "medium": Workload(clients=4, operations=40, crashes=(0.4, 1.0)),
    "large": DEMONSTRATION,
}


def program(setting: Setting) -> Program:
    """The store under load for a setting."""

    async def run(params: Mapping[str, Any]) -> dict[str, Any]:
        return {"write_latency": await main(params, None, WORKLOADS[setting.size])}

    return run
