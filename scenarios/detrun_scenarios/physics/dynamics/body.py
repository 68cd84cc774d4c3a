"""`Body`: a rigid body, where it is, how it moves, and what it is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from detrun_scenarios.physics.geometry.shapes import Shape
from detrun_scenarios.physics.geometry.vectors import ORIGIN, Number, Vector


@dataclass(slots=True, eq=False)
class Body:
    """A rigid body. All numbers may be Values.

    Attributes:
        shape: around the centre of mass.
        position: of the centre of mass, in metres.
        angle: to the left, in radians.
        velocity: of the centre of mass, in metres a second.
        spin: angular velocity, in radians a second.
        mass: in kilograms; ``math.inf`` for a body that nothing moves, such as the ground.
        inertia: moment of inertia, in kg m²; by default that of the shape at one density, ``math.inf`` for a body that
            does not turn.
        restitution: of its surface: which share of the speed of approach two bodies have after an impact, see
            `contacts`.
        friction: Coulomb's coefficient of its surface.
        inverse_mass, inverse_inertia: 0.0 for infinite ones.
    """

    shape: Shape
    position: Vector = ORIGIN
    angle: Number = 0.0
    velocity: Vector = ORIGIN
    spin: Number = 0.0
    mass: Number = 1.0
    inertia: Number = None
    restitution: Number = 0.0
    friction: Number = 0.0
    inverse_mass: Number = field(init=False)
    inverse_inertia: Number = field(init=False)

    def __post_init__(self) -> None:
        if self.inertia is None:
            self.inertia = self.mass * self.shape.moment
        self.inverse_mass = 0.0 if self.is_fixed else 1.0 / self.mass
        self.inverse_inertia = 0.0 if _is_infinite(self.inertia) else 1.0 / self.inertia

    @property
    def is_fixed(self) -> bool:
        """Whether nothing moves it."""
        return _is_infinite(self.mass)

    def velocity_at(self, offset: Vector) -> Vector:
        """Of the point of the body that is at an offset from its centre of mass, in the directions of the plane."""
        return self.velocity + offset.turned_left(self.spin)

    def energy_of(self, x: Number, y: Number, spin: Number) -> Number:
        """Kinetic, in joules, at some velocity; 0.0 of a body that nothing moves."""
        moving = 0.0 if self.is_fixed else self.mass * (x * x + y * y)
        turning = 0.0 if _is_infinite(self.inertia) else self.inertia * spin * spin
        return 0.5 * (moving + turning)


def _is_infinite(number: Number) -> bool:
    return type(number) is float and math.isinf(number)
