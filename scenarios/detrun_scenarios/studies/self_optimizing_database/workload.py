"""How much is read in each size, and what comes of it.

Each read is a `detrun.cost` where the loss is wanted, so that the draw of a plan does not answer for the reads before
it. A small run is watched by the checks of the scenario `database`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detrun_scenarios.database.checks.watch import Watch
from detrun_scenarios.database.invariants import check
from detrun_scenarios.frame.declaration import Program, Setting, Size
from detrun_scenarios.frame.measured import mean
from detrun_scenarios.studies.self_optimizing_database.server import Load, served

LOADS: Mapping[Size, Load] = {
    "small": Load(60, 40, 2, 16, 8),
    "medium": Load(300, 40, 2, 60, 30),
    "large": Load(600, 64, 4, 1_500, 100),
}


def program(setting: Setting) -> Program:
    """The database for a setting."""
    load = LOADS[setting.size]
    is_alone = setting.loss is not None

    async def main(params: Mapping[str, Any]) -> dict[str, Any]:
        watch = Watch() if setting.size == "small" else None
        async with served(params, load, watch, 1.0 / load.total if is_alone else None) as found:
            if watch is not None:
                await check(found.server.store, found.observed)
            return {"latency": 0.0 if is_alone else mean(found.observed.latencies)}

    return main
