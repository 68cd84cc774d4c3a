"""Four tasks around shared memory: a room that cools and is heated, a thermostat, a meter, and a visitor at the door.

The tasks never wait for each other: the scheduler chooses which one acts next, as with four processes on a machine.
Each does in one step what must not be torn. The heat that came and went is counted, so that none can be lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.thermostat.losses import COSTS, SET_POINT

BEGINS_AT = 18.0  # degrees
OUTSIDE = 5.0
COOLING = 0.001  # share of the distance to the outside lost in a turn
DOOR_DEGREES = 4.0
ROUNDING = 1e-6  # degrees, of a million additions
NO_HEAT_IS_LOST = "no heat is lost"


class Room:
    """The room and its tasks, each of which acts ``turns`` times, in one step each.

    Args:
        params: ``gain``, power for a degree of error, and ``offset``, power at the set point.
        measured: which of `COSTS`.
    """

    def __init__(self, params: Mapping[str, Any], turns: int, measured: tuple[str, ...]) -> None:
        self.params = params
        self.turns = turns
        self.temperature = detrun.Atomic[Any](BEGINS_AT, name="temperature")
        self.power = detrun.Atomic[Any](0.0, name="power")
        self.heat = detrun.Atomic[Any](0.0, name="heat")  # that came in, less what went
        self.scores = {name: detrun.Atomic[Any](0.0, name=name) for name in measured}

    async def run(self) -> dict[str, Any]:
        """Let all tasks act; the mean of each measured cost."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.cool, name="room")
            nursery.start_soon(self.control, name="thermostat")
            nursery.start_soon(self.measure, name="meter")
            nursery.start_soon(self.visit, name="visitor")
        lost = BEGINS_AT + plain(self.heat.load()) - plain(self.temperature.load())
        detrun.always(abs(lost) <= ROUNDING, NO_HEAT_IS_LOST)
        return {name: score.load() * (1.0 / self.turns) for name, score in self.scores.items()}

    async def cool(self) -> None:
        """Lose heat to the outside, and gain what the heater gives."""
        for _ in range(self.turns):
            await trio.lowlevel.checkpoint()
            change = self.change_in(self.temperature.load())
            self.temperature.fetch_add(change)
            self.heat.fetch_add(change)

    def change_in(self, now: Any) -> Any:
        """Degrees in a turn that begins at the temperature ``now``."""
        return (OUTSIDE - now) * COOLING + self.power.load()

    async def visit(self) -> None:
        """Open the door twice."""
        for turn in range(self.turns):
            await trio.lowlevel.checkpoint()
            if turn in (self.turns // 3, 2 * self.turns // 3):
                self.temperature.fetch_add(-DOOR_DEGREES)
                self.heat.fetch_add(-DOOR_DEGREES)

    async def control(self) -> None:
        """Set the power by the distance from the set point."""
        gain, offset = self.params["gain"], self.params["offset"]
        for _ in range(self.turns):
            await trio.lowlevel.checkpoint()
            self.power.store(offset + gain * (SET_POINT - self.temperature.load()))

    async def measure(self) -> None:
        """Add up the costs."""
        scores = [(COSTS[name], score) for name, score in self.scores.items()]
        for _ in range(self.turns):
            await trio.lowlevel.checkpoint()
            for cost, score in scores:
                score.fetch_add(cost(self.temperature, self.power))
