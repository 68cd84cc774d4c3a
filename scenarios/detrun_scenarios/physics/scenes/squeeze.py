"""Two discs that fly at a third one from both sides and reach it in the same step: the least that workers can spoil."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import detrun
from detrun_scenarios.physics.dynamics.body import Body
from detrun_scenarios.physics.dynamics.parts import Parts
from detrun_scenarios.physics.dynamics.settings import Settings
from detrun_scenarios.physics.dynamics.simulation import simulating
from detrun_scenarios.physics.geometry.shapes import Circle
from detrun_scenarios.physics.geometry.vectors import ORIGIN, Vector

RADIUS = 0.2  # metres
SPEED = 2.0  # m/s
GAP = 0.03  # metres between surfaces at the beginning: they meet in the second step
SECONDS = 0.01
STEPS = 3
TWO_TASKS = Settings(workers=1, split_at=2)


def discs(params: Mapping[str, Any]) -> list[Body]:
    """The two that fly, and the one in the middle."""
    away = 2.0 * RADIUS + GAP
    return [
        Body(Circle(RADIUS), Vector(x, 0.0), velocity=Vector(speed, 0.0), restitution=params["restitution"])
        for x, speed in ((-away, SPEED), (away, -SPEED), (0.0, 0.0))
    ]


async def squeeze(params: Mapping[str, Any], parts: Parts) -> Any:
    """Let them meet; their mean height, which stays 0."""
    async with simulating(discs(params), gravity=ORIGIN, settings=TWO_TASKS, parts=parts) as simulation:
        for _ in range(STEPS):
            await simulation.step(SECONDS)
        return detrun.mean(body.position.y for body in simulation.bodies)
