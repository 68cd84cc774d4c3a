"""`Constraint`: what holds between two bodies, as rows; a contact or a joint.

It has two lists of rows. Those for velocities act as forces do. Those for places push apart bodies that overlap, and
pull together joints that have drifted: they move bodies and leave velocities alone, so that they give no energy
("split impulses").
"""

from __future__ import annotations

from collections.abc import Sequence

from detrun_scenarios.physics.dynamics.body import Body
from detrun_scenarios.physics.dynamics.rows import Row
from detrun_scenarios.physics.dynamics.settings import Settings
from detrun_scenarios.physics.dynamics.velocities import Motion
from detrun_scenarios.physics.geometry.placed import Placed


class Constraint:
    """See the module.

    Attributes:
        pair: the numbers of both bodies.
        rows: for velocities, in the order in which they are solved.
        pushes: for places.
    """

    __slots__ = ("pair", "pushes", "rows")

    def __init__(self, pair: tuple[int, int]) -> None:
        self.pair = pair
        self.rows: list[Row] = []
        self.pushes: list[Row] = []

    def prepare(self, bodies: Sequence[Body], placed: Sequence[Placed], seconds: float, settings: Settings) -> None:
        """Make the rows for a step of so many seconds, from where the bodies are and how they moved before it."""
        raise NotImplementedError

    @property
    def bounces(self) -> bool:
        """Whether a row asks for a speed by restitution."""
        return False

    def soften(self) -> None:
        """Halve the restitution."""

    def begin(self, first: Motion, second: Motion) -> float:
        """Give the first guess of all rows."""
        for row in self.rows:
            row.begin(first, second)
        return 0.0

    def solve(self, first: Motion, second: Motion) -> float:
        """Correct all rows once; the largest change of an impulse."""
        return max([row.solve(first, second) for row in self.rows], default=0.0)

    def push(self, first: Motion, second: Motion) -> float:
        """The same with the rows for places."""
        return max([row.solve(first, second) for row in self.pushes], default=0.0)
