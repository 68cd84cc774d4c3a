"""Three tasks around shared memory: the room cools and is heated, a thermostat sets the power, a meter keeps score.

The tasks never wait for each other: the scheduler chooses which one acts next, as with three processes on a machine.
Twice a door is opened and cold air comes in. The loss is the mean squared distance from the set point. Its gradient
with respect to the thermostat's gain, over a million steps, shows which of the thermostat's decisions mattered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

import detrun

SET_POINT = 21.0
OUTSIDE = 5.0
COOLING = 0.001  # share of the distance to the outside lost in a turn
DOOR_DEGREES = 4.0
DEFAULT_PARAMS = {"gain": 0.05, "offset": 0.016}


async def main(params: Mapping[str, Any], turns: int = 333_333) -> Any:
    """Run each task for ``turns`` turns, one step each; return the mean squared error.

    Args:
        params: ``gain``, power for a degree of error, and ``offset``, power at the set point.
        turns: steps of each of the three tasks.
    """
    temperature = detrun.Atomic(18.0, name="temperature")
    power = detrun.Atomic(0.0, name="power")
    score = detrun.Atomic(0.0, name="score")
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
            error = temperature.load() - SET_POINT
            score.fetch_add(error * error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(room)
        nursery.start_soon(thermostat)
        nursery.start_soon(meter)
    return score.load() * (1.0 / turns)
