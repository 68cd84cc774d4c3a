"""A day on the machine of the scenario `operating_system`, whose mix of users and batches changes with the hour.

In office hours many wait for answers and one batch computes; at night few users are left and batches come in numbers.
All are processes of that scenario's machine, under its scheduler, its memory and its watchdog.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import trio

import detrun
from detrun_scenarios.frame.declaration import Program, Setting, Size
from detrun_scenarios.frame.measured import mean
from detrun_scenarios.operating_system.cpu.settings import CpuSettings
from detrun_scenarios.operating_system.machine import Machine, Simulated, machine
from detrun_scenarios.operating_system.memory.settings import MemorySettings
from detrun_scenarios.operating_system.parts import RIGHT
from detrun_scenarios.operating_system.process import Process
from detrun_scenarios.operating_system.settings import Settings
from detrun_scenarios.studies.adaptive_scheduling.governor import Governor, queue_under

SERVICE = 0.004  # mean seconds of a request
CHUNK = 0.02  # mean seconds of a stretch of a batch
FRAMES = 256  # there is memory for all


@dataclass(frozen=True, slots=True)
class Hours:
    """A part of the day; ``think`` in mean seconds between an answer and the next request."""

    seconds: float
    users: int
    think: float
    batches: int


OFFICE, NIGHT = Hours(0.25, 4, 0.012, 1), Hours(0.25, 1, 0.03, 4)
DAYS: Mapping[Size, tuple[Hours, ...]] = {
    "small": (Hours(0.06, 3, 0.012, 1), Hours(0.06, 1, 0.03, 3)),
    "medium": (OFFICE, NIGHT, OFFICE, NIGHT),
    "large": (OFFICE, NIGHT) * 85,
}


@dataclass(slots=True)
class Observed:
    """What a day has seen: slowdowns, each the seconds of a request or a stretch over the computing in it."""

    users: list[Any] = field(default_factory=list)
    batches: list[Any] = field(default_factory=list)


def user(number: int, day: tuple[Hours, ...], observed: Observed) -> Simulated:
    """Thinks, asks and waits, in the hours in which so many are there."""

    async def run(process: Process) -> None:
        ends = 0.0
        for hours in day:
            begins, ends = ends, ends + hours.seconds
            if number >= hours.users:
                continue
            await until(process, begins)
            while trio.current_time() < ends:
                await process.sleep(detrun.exponential(hours.think))
                asked_at, wanted = trio.current_time(), 0.0005 + detrun.exponential(SERVICE)
                await process.compute(wanted)
                observed.users.append((trio.current_time() - asked_at) / wanted)

    return run


def batch(number: int, day: tuple[Hours, ...], observed: Observed) -> Simulated:
    """Computes in long stretches, in the hours in which so many are there."""

    async def run(process: Process) -> None:
        ends = 0.0
        for hours in day:
            begins, ends = ends, ends + hours.seconds
            if number >= hours.batches:
                continue
            await until(process, begins)
            while trio.current_time() < ends:
                began, wanted = trio.current_time(), 0.005 + detrun.exponential(CHUNK)
                await process.compute(wanted)
                observed.batches.append((trio.current_time() - began) / wanted)

    return run


async def until(process: Process, seconds: float) -> None:
    """Sleep until a moment of the day, if it is still to come."""
    if trio.current_time() < seconds:
        await process.sleep(seconds - trio.current_time())


def governed(found: Machine, params: Mapping[str, Any], day: tuple[Hours, ...], observed: Observed) -> Governor:
    """Start all processes of a day; the governor, which is still to be run."""
    users = [
        found.start(f"user{number}", user(number, day, observed)) for number in range(max(one.users for one in day))
    ]
    batches = [
        found.start(f"batch{number}", batch(number, day, observed)) for number in range(max(one.batches for one in day))
    ]
    return Governor(params["bias"], params["gain"], [one.thread for one in users], [one.thread for one in batches])


def settings_of(params: Mapping[str, Any]) -> Settings:
    """Of the machine: two cores, and memory enough."""
    return Settings(
        cpu=CpuSettings(latency=params["latency"], wakeup_granularity=params["wakeup_granularity"]),
        memory=MemorySettings(frames=FRAMES),
    )


def program(setting: Setting) -> Program:
    """The day for a setting."""
    day = DAYS[setting.size]

    async def main(params: Mapping[str, Any]) -> dict[str, Any]:
        observed = Observed()
        async with trio.open_nursery() as governing:
            async with machine(settings_of(params), replace(RIGHT, fair=queue_under(params["gain"]))) as found:
                governing.start_soon(governed(found, params, day, observed).run, name="governor")
            governing.cancel_scope.cancel()
        return {"slowdown": 0.5 * (mean(observed.users) + mean(observed.batches))}

    return main
