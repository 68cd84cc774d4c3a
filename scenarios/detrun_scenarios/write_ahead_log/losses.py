"""What writes cost while the power stays on: clients write at the same time, and the time of each write is taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

import detrun
from detrun.world.disk.disk import Disk, DiskLatency
from detrun_scenarios.write_ahead_log.history import value_of
from detrun_scenarios.write_ahead_log.store import CORRECT, Store, Tuning, open_store


async def write_and_measure(params: Mapping[str, Any], clients: int, writes: int) -> Mapping[str, Any]:
    """Each client writes so many times, and thinks in between; every loss by name."""
    latency = DiskLatency(
        write_seconds=params["write_seconds"], fsync_seconds=lambda: detrun.exponential(params["fsync_seconds"])
    )
    tuning = Tuning(group_delay=params["group_delay"], compact_after=params["compact_after"])
    store = await open_store(Disk("measured", latency=latency), CORRECT, tuning)
    latencies: list[Any] = []
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for index in range(clients):
            nursery.start_soon(one_client, store, b"key%d" % index, writes, params["think_seconds"], latencies)
    return {
        "write_latency": sum(latencies) / len(latencies),
        "time_per_write": (trio.current_time() - began) / len(latencies),
    }


async def one_client(store: Store, key: bytes, writes: int, think_seconds: Any, latencies: list[Any]) -> None:
    """Write again and again, each after the one before was acknowledged."""
    acknowledged_at: list[Any] = []
    for number in range(1, writes + 1):
        await detrun.sleep(detrun.exponential(think_seconds))
        began = trio.current_time()
        await store.put(key, value_of(number), lambda: acknowledged_at.append(trio.current_time()))
        latencies.append(acknowledged_at[-1] - began)
