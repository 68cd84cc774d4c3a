"""Bodies that fall into a box and come to rest in a pile: what the engine with its workers is for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import detrun
from detrun_scenarios.physics.dynamics.body import Body
from detrun_scenarios.physics.dynamics.joints import Rod
from detrun_scenarios.physics.dynamics.parts import Parts
from detrun_scenarios.physics.dynamics.settings import Settings
from detrun_scenarios.physics.dynamics.simulation import RIGHT, USUAL, Simulation, simulating
from detrun_scenarios.physics.geometry.shapes import Circle, Shape, box, regular
from detrun_scenarios.physics.geometry.vectors import Vector

SIZE = 0.2  # m, half the width of a body at most
SPACING = 0.45  # m, between the places where bodies are let go
SPEED = 2.0  # m/s, sideways, standard deviation
WALL = 0.5  # m


@dataclass(frozen=True, slots=True)
class Box:
    """A box and what falls into it.

    Attributes:
        columns, rows: of bodies: circles, triangles, squares and pentagons in turn.
        steps: of the engine.
    """

    columns: int
    rows: int
    steps: int

    def bodies(self, params: Mapping[str, Any]) -> list[Body]:
        """Four walls, and bodies that are let go in a grid; how fast and at what angle is drawn."""
        restitution, friction = params["restitution"], params["friction"]
        width, height = SPACING * (self.columns + 1), SPACING * (self.rows + 3)
        thick, tall = box(2.0 * width, 2.0 * WALL), box(2.0 * WALL, 2.0 * height)
        surface: dict[str, Any] = {"restitution": restitution, "friction": friction}
        found = [
            Body(thick, Vector(0.5 * width, -WALL), mass=math.inf, inertia=math.inf, **surface),
            Body(tall, Vector(-WALL, 0.5 * height), mass=math.inf, inertia=math.inf, **surface),
            Body(tall, Vector(width + WALL, 0.5 * height), mass=math.inf, inertia=math.inf, **surface),
        ]
        for row in range(self.rows):
            for column in range(self.columns):
                place = Vector(SPACING * (column + 1), SPACING * (row + 0.6))
                shape = _shape(row * self.columns + column)
                sideways = Vector(detrun.normal(0.0, SPEED), 0.0)
                found.append(Body(shape, place, detrun.uniform(0.0, 1.0), sideways, **surface))
        return found

    def filled(
        self, params: Mapping[str, Any], parts: Parts = RIGHT, settings: Settings = USUAL
    ) -> AbstractAsyncContextManager[Simulation]:
        """A simulation of it, before the first step; a rod holds the first two bodies of the lowest row together."""
        return simulating(self.bodies(params), [Rod((3, 4), SPACING)], parts=parts, settings=settings)

    async def fill(self, params: Mapping[str, Any], parts: Parts = RIGHT, settings: Settings = USUAL) -> Any:
        """Let the bodies fall; their mean height at the end, in metres."""
        async with self.filled(params, parts, settings) as simulation:
            for _ in range(self.steps):
                await simulation.step(params["time_step"])
            heights = [body.position.y for body in simulation.bodies if not body.is_fixed]
        return detrun.mean(heights)


def _shape(number: int) -> Shape:
    corners = number % 4 + 2
    return Circle(0.8 * SIZE) if corners == 2 else regular(corners, SIZE)
