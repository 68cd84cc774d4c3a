"""Cost of a gradient: its time against the plain run, and the memory of a long one.

*Plain* is `detrun.record` of the program with floats for parameters; *gradient* is `detrun.gradient` of the same seed:
one run with the tape on, the sweep, and the validity radii. Both include everything a user waits for. What is unfair:
the ratio is small where trio's scheduling costs more than the arithmetic, as it does in most programs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import trio

import detrun
from benchmarks.measuring import Row, alternating, ratio, show
from detrun_scenarios.key_value.losses import losses_of
from detrun_scenarios.key_value.workload import Workload, run_store

Params = Mapping[str, Any]


async def queue(params: Params) -> Any:
    """An M/M/1 queue of 2,000 customers: mean time in system."""
    send, receive = trio.open_memory_channel[Any](math.inf)
    times: list[Any] = []

    async def arrivals() -> None:
        async with send:
            for _ in range(2_000):
                await trio.sleep(detrun.exponential(1.0))
                await send.send(trio.current_time())

    async def server() -> None:
        async for arrived in receive:
            await trio.sleep(detrun.exponential(params["mean"]))
            times.append(trio.current_time() - arrived)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(arrivals)
        nursery.start_soon(server)
    return detrun.mean(times)


async def atomics(params: Params) -> Any:
    """A hundred tasks, each fifty operations on ten shared cells."""
    cells = [detrun.Atomic(params["start"]) for _ in range(10)]

    async def worker(index: int) -> None:
        for turn in range(50):
            cell = cells[(index + turn) % 10]
            cell.fetch_mul(params["decay"])
            cell.fetch_add(0.1)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for index in range(100):
            nursery.start_soon(worker, index)
    return detrun.sum([cell.load() for cell in cells])


async def store(params: Params) -> Any:
    """The replicated key-value store of the demo, a quarter of its clients."""
    history = await run_store({"patience": 0.1, **params}, Workload(clients=4, operations=100, crashes=(0.5,)))
    return losses_of(history)["write_latency"]


def long_run(steps: int) -> Callable[[Params], Any]:
    """Three tasks that share a cell, for about ``steps`` steps."""

    async def main(params: Params) -> Any:
        cell = detrun.Atomic(params["start"])

        async def worker() -> None:
            local = params["decay"]
            for _ in range(steps // 3):
                await trio.lowlevel.checkpoint()
                local = local * params["decay"] + 0.01
                cell.store(cell.load() * params["decay"] + local)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(worker)
        return cell.load()

    return main


def main() -> None:
    """Measure and print."""
    rows = []
    programs: list[tuple[str, Callable[[Any], Any], dict[str, float]]] = [
        ("M/M/1 queue, 2,000 customers", queue, {"mean": 0.5}),
        ("100 tasks × 50 atomic updates", atomics, {"start": 1.0, "decay": 0.9}),
        ("replicated key-value store", store, {"link_latency": 0.005, "retry_timeout": 0.06}),
    ]
    for name, program, params in programs:
        plain, taken = alternating(
            [lambda p=program, v=params: detrun.record(p, v), lambda p=program, v=params: detrun.gradient(p, v)],  # type: ignore[misc]  # mypy infers no type of defaults
            repetitions=3,
        )
        times, spread = ratio(taken, plain)
        rows.append(Row(f"gradient / plain run, {name}", f"{times:.2f}× ({spread})", "≤ 4×", times <= 4))
    params = {"start": 1.0, "decay": 0.999}
    million = long_run(1_000_000)
    start = time.perf_counter()
    recorded = detrun.record(million, params)
    plain_seconds = time.perf_counter() - start
    start = time.perf_counter()
    found = detrun.gradient(million, params, recording=recorded.recording, snapshots=30)
    seconds = time.perf_counter() - start
    facts = found.diagnostics
    rows.append(
        Row(
            f"{recorded.steps:,} steps, 30 snapshots: largest process",
            f"{facts.peak_bytes / 2**20:.0f} MB",
            "≤ 300 MB",
            facts.peak_bytes <= 300 * 2**20,
        )
    )
    rows.append(
        Row(
            f"the same: time / recorded run; windows of {facts.window_steps:,}, {facts.forward_steps:,} forward steps",
            f"{seconds / plain_seconds:.1f}× ({seconds:.0f} s)",
            "–",
            None,
        )
    )
    short = long_run(100_000)
    whole = detrun.gradient(short, params)
    entries = whole.diagnostics.entries
    rows.append(Row("tape entries a step, the same program", f"{entries / 100_000:.1f}", "–", None))
    show("Gradients", rows)


if __name__ == "__main__":
    main()
