"""Three tasks around shared memory: the room cools and is heated, a thermostat sets the power, a meter keeps score.

The tasks never wait for each other: the scheduler chooses which one acts next, as with three processes on a machine.
Twice a door is opened and cold air comes in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

import detrun
from detrun_scenarios.thermostat.losses import COSTS, SET_POINT

OUTSIDE = 5.0
COOLING = 0.001  # share of the distance to the outside lost in a turn
DOOR_DEGREES = 4.0


async def keep_warm(params: Mapping[str, Any], turns: int, measured: tuple[str, ...]) -> dict[str, Any]:
    """Run each task for ``turns`` turns, one step each; return the mean of each measured cost.

    Args:
        params: ``gain``, power for a degree of error, and ``offset``, power at the set point.
        turns: steps of each of the three tasks.
        measured: which of `COSTS`.
    """
    temperature = detrun.Atomic(18.0, name="temperature")
    power = detrun.Atomic(0.0, name="power")
    scores = [(COSTS[name], detrun.Atomic(0.0, name=name)) for name in measured]
    doors = (turns // 3, 2 * turns // 3)

    async def room() -> None:
        for turn in range(turns):
            await trio.lowlevel.checkpoint()
            now = temperature.load()
            cold = DOOR_DEGREES if turn in doors else 0.0
            temperature.store(now + (OUTSIDE - now) * COOLING + power.load() - cold)

    async def thermostat() -> None:
        for _ in range(turns):
            await trio.lowlevel.checkpoint()
            power.store(params["offset"] + params["gain"] * (SET_POINT - temperature.load()))

    async def meter() -> None:
        for _ in range(turns):
            await trio.lowlevel.checkpoint()
            for cost, score in scores:
                score.fetch_add(cost(temperature, power))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(room)
        nursery.start_soon(thermostat)
        nursery.start_soon(meter)
    detrun.always(OUTSIDE - 2 * DOOR_DEGREES <= temperature.load() <= 100.0, "the room does not boil")
    return {name: score.load() * (1.0 / turns) for name, (_, score) in zip(measured, scores, strict=True)}
