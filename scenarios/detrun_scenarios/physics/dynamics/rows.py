"""`Row`: one condition on the relative velocity of two bodies, and the impulse that keeps it.

A row says that the second body moves away from the first at a certain speed, along a direction at an arm of each body,
or that both turn against each other at one. Its impulse is held within bounds, and where it stays at a bound the
condition is an inequality: this is a row of a mixed linear complementarity problem, and friction, whose bounds are a
share of another row's impulse, makes it a non-linear one.

`Row.solve` is a step of projected Gauss–Seidel: it adds the impulse that this row needs, as if it were alone, holds the
sum within the bounds, and changes both velocities by the difference.

Source: Stewart and Trinkle, IJNME 1996, for the problem; Catto, "Iterative dynamics with temporal coherence", GDC 2005,
for this solver ("sequential impulses"); Moreau, "Numerical aspects of the sweeping process", CMAME 1999.
"""

from __future__ import annotations

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.physics.dynamics.body import Body
from detrun_scenarios.physics.dynamics.velocities import Motion
from detrun_scenarios.physics.geometry.vectors import Number, Vector


class Row:
    """See the module.

    Args:
        first, second: the bodies.
        direction: of unit length, or zero for a row that concerns angles alone.
        arms: of each body: how fast the point moves along the direction for a unit of spin.
        speed: which the row asks for.
        bounds: of the impulse; None on a side without one.
        normal: the row whose impulse bounds this one by friction, ``coefficient`` times of it.

    Attributes:
        impulse: that the row has given so far, in N s; what it has at the start is the first guess.
    """

    __slots__ = (
        "_first_gain",
        "_mass",
        "_second_gain",
        "arms",
        "bounds",
        "coefficient",
        "direction",
        "impulse",
        "normal",
        "speed",
    )

    def __init__(
        self,
        first: Body,
        second: Body,
        direction: Vector,
        arms: tuple[Number, Number],
        speed: Number,
        bounds: tuple[Number | None, Number | None] = (None, None),
        *,
        normal: Row | None = None,
        coefficient: Number = 0.0,
    ) -> None:
        self.direction = direction
        self.arms = arms
        self.speed = speed
        self.bounds = bounds
        self.normal = normal
        self.coefficient = coefficient
        self.impulse: Number = 0.0
        self._first_gain = _gain(first, direction, arms[0])
        self._second_gain = _gain(second, direction, arms[1])
        across = direction.dot(direction)
        self._mass = 1.0 / (
            (first.inverse_mass + second.inverse_mass) * across
            + arms[0] * self._first_gain[2]
            + arms[1] * self._second_gain[2]
        )

    def relative(self, first: Motion, second: Motion) -> Number:
        """The speed that the row is about."""
        along, arms = self.direction, self.arms
        return (
            along.x * (second[0] - first[0])
            + along.y * (second[1] - first[1])
            + arms[1] * second[2]
            - arms[0] * first[2]
        )

    def begin(self, first: Motion, second: Motion) -> None:
        """Give the impulse that is guessed."""
        self._give(self.impulse, first, second)

    def solve(self, first: Motion, second: Motion) -> float:
        """Correct the impulse; by how much it changes, as a plain number."""
        wanted = self._held(self.impulse + (self.speed - self.relative(first, second)) * self._mass)
        change = wanted - self.impulse
        self.impulse = wanted
        self._give(change, first, second)
        return abs(plain(change))

    def _held(self, impulse: Number) -> Number:
        low, high = self.bounds
        if self.normal is not None:
            if plain(self.normal.impulse) == 0.0:
                return 0.0
            high = self.coefficient * self.normal.impulse
            low = -high
        if low is not None and impulse < low:
            return low
        if high is not None and impulse > high:
            return high
        return impulse

    def _give(self, impulse: Number, first: Motion, second: Motion) -> None:
        if type(impulse) is float and impulse == 0.0:
            return
        for part in range(3):
            first[part] = first[part] - self._first_gain[part] * impulse
            second[part] = second[part] + self._second_gain[part] * impulse


def _gain(body: Body, direction: Vector, arm: Number) -> tuple[Number, Number, Number]:
    """What a unit of impulse changes of a body's velocity."""
    return direction.x * body.inverse_mass, direction.y * body.inverse_mass, arm * body.inverse_inertia
