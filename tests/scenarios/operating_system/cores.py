"""Cores without memory and a disk: threads that compute when a test says so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import trio

import detrun
from detrun_scenarios.operating_system.cpu.balancing import Balancing
from detrun_scenarios.operating_system.cpu.idle import Idle
from detrun_scenarios.operating_system.cpu.scheduler import Scheduler
from detrun_scenarios.operating_system.cpu.settings import CpuSettings
from detrun_scenarios.operating_system.cpu.threads import Thread
from detrun_scenarios.operating_system.cpu.watchdog import Watchdog

FREE: dict[str, Any] = {"switch_seconds": 0.0, "migration_seconds": 0.0, "idle_seconds": 0.0}  # what a core costs


@asynccontextmanager
async def cores(settings: CpuSettings, balances: bool = False) -> AsyncIterator[tuple[Scheduler, trio.Nursery]]:
    """A scheduler, and a nursery for what uses it; at its end every thread has ended."""
    scheduler = Scheduler(settings)
    async with trio.open_nursery() as kernel:
        for core in scheduler.cores:
            kernel.start_soon(Idle(scheduler, core).run)
        if balances:
            kernel.start_soon(Balancing(scheduler).run)
        async with trio.open_nursery() as users:
            yield scheduler, users
        Watchdog(scheduler, 1.0).look()
        kernel.cancel_scope.cancel()


def run(body: Callable[[Scheduler, trio.Nursery], Coroutine[Any, Any, Any]], **settings: Any) -> Any:
    """What the body returns, once all that it has started is over."""

    async def main() -> Any:
        balances = settings.pop("balances", False)
        async with cores(CpuSettings(**{"cores": 1, **FREE, **settings}), balances) as (scheduler, users):
            found = await body(scheduler, users)
        return found

    return detrun.record(main).result


async def live(scheduler: Scheduler, thread: Thread, seconds: float) -> None:
    """All that a thread ever does: it computes."""
    await scheduler.compute(thread, seconds)
    scheduler.end(thread)
