"""`Vector`: an immutable vector of the plane, of floats or Values."""

from __future__ import annotations

from typing import Any, TypeAlias

import detrun

Number: TypeAlias = Any
"""A float or a `detrun.Value`: all of physics is written once, for both."""


class Vector:
    """Two coordinates. Every operation makes a new vector."""

    __slots__ = ("x", "y")

    def __init__(self, x: Number, y: Number) -> None:
        self.x = x
        self.y = y

    def __add__(self, other: Vector) -> Vector:
        return Vector(self.x + other.x, self.y + other.y)

    def __sub__(self, other: Vector) -> Vector:
        return Vector(self.x - other.x, self.y - other.y)

    def __neg__(self) -> Vector:
        return Vector(-self.x, -self.y)

    def __mul__(self, factor: Number) -> Vector:
        return Vector(self.x * factor, self.y * factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Number) -> Vector:
        return Vector(self.x / divisor, self.y / divisor)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vector):
            return NotImplemented
        return bool(self.x == other.x and self.y == other.y)

    def __hash__(self) -> int:
        return hash((self.x, self.y))

    def __repr__(self) -> str:
        return f"Vector({self.x!r}, {self.y!r})"

    def dot(self, other: Vector) -> Number:
        """The scalar product."""
        return self.x * other.x + self.y * other.y

    def cross(self, other: Vector) -> Number:
        """The third coordinate of the cross product: positive if ``other`` lies to the left."""
        return self.x * other.y - self.y * other.x

    def turned_left(self, factor: Number = 1.0) -> Vector:
        """By a right angle, and times a factor: with an angular velocity, the velocity of a point at this offset."""
        return Vector(-self.y * factor, self.x * factor)

    def rotated(self, cosine: Number, sine: Number) -> Vector:
        """By an angle of which both are given, since a body turns many points by one."""
        return Vector(cosine * self.x - sine * self.y, sine * self.x + cosine * self.y)

    def length(self) -> Number:
        """Euclidean. It has no derivative at the origin."""
        return detrun.sqrt(self.x * self.x + self.y * self.y)

    def unit(self) -> Vector:
        """The direction. ZeroDivisionError at the origin, which has none."""
        length = self.length()
        return Vector(self.x / length, self.y / length)


ORIGIN = Vector(0.0, 0.0)


def turned(angle: Number) -> tuple[Number, Number]:
    """Cosine and sine, for `Vector.rotated`; of radians."""
    return detrun.cos(angle), detrun.sin(angle)
