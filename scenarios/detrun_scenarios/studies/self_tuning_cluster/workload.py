"""How long a cluster is watched, and under which load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from detrun_scenarios.frame.declaration import Program, Setting, Size
from detrun_scenarios.frame.requirement import require
from detrun_scenarios.studies.self_tuning_cluster.cluster import SERVED_ONCE, Cluster
from detrun_scenarios.studies.self_tuning_cluster.load import Load, send
from detrun_scenarios.studies.self_tuning_cluster.losses import losses_of
from detrun_scenarios.studies.self_tuning_cluster.scaler import Scaler

SECONDS: Mapping[Size, float] = {"small": 40.0, "medium": 240.0, "large": 3_000.0}
LOADS: Mapping[Size, Load] = {"small": Load(day=40.0, flash_seconds=5.0), "medium": Load(), "large": Load()}
FIRST_MACHINES = 6


async def run_cluster(
    params: Mapping[str, Any],
    seconds: float,
    load: Load,
    scales: bool = True,
    parts: tuple[type[Cluster], type[Scaler]] = (Cluster, Scaler),
) -> tuple[Cluster, Scaler]:
    """Requests until the time is over, and what is then left of the queue."""
    made, scaled = parts
    async with trio.open_nursery() as nursery:
        cluster = made(params["service_seconds"], params["cold_seconds"], nursery)
        cluster.start(FIRST_MACHINES, warm=True)
        scaler = scaled(cluster, params)
        if scales:
            nursery.start_soon(scaler.run)
        sent = await send(load, cluster, seconds)
        while cluster.served < sent and trio.current_time() < 2.0 * seconds:
            await trio.sleep(1.0)
        require(cluster.served == sent, SERVED_ONCE, f"{sent} requests came, {cluster.served} were served")
        nursery.cancel_scope.cancel()
    return cluster, scaler


def program(setting: Setting) -> Program:
    """The cluster for a setting."""
    seconds, load = SECONDS[setting.size], LOADS[setting.size]

    async def main(params: Mapping[str, Any]) -> Mapping[str, Any]:
        cluster, _ = await run_cluster(params, seconds, load)
        return losses_of(cluster, seconds)

    return main
