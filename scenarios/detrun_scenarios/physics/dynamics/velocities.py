"""`Velocities`: of all bodies, in cells that tasks share.

A task that works on a body loads its velocity, works on its own copy, and stores that. The order of phases and colours
keeps all other tasks away from that body meanwhile.
"""

from __future__ import annotations

from typing import TypeAlias

import detrun
from detrun_scenarios.physics.geometry.vectors import Number

Motion: TypeAlias = list[Number]
"""A task's own copy of one body's velocity: along x, along y, and of its angle."""


class Velocities:
    """Three cells for each body.

    Args:
        name: of what they hold, as reports call it.
    """

    def __init__(self, name: str, bodies: int) -> None:
        self._cells = [
            tuple(detrun.Shared[Number](0.0, name=f"{name} of body {body}, {part}") for part in ("x", "y", "angle"))
            for body in range(bodies)
        ]

    def load(self, body: int) -> Motion:
        """A copy."""
        x, y, angle = self._cells[body]
        return [x.value, y.value, angle.value]

    def store(self, body: int, motion: Motion) -> None:
        """Replace it."""
        x, y, angle = self._cells[body]
        x.value, y.value, angle.value = motion
