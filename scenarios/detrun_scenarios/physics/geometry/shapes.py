"""`Circle` and `Polygon`: what a body looks like around its centre of mass.

A polygon is convex and its vertices go round to the left. It is moved so that its centroid is the origin, which is the
centre of mass of a body of one density. Moments are those of area: Green's theorem, over the triangles between the
origin and each edge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.physics.geometry.vectors import Number, Vector


class Circle:
    """A disc.

    Attributes:
        radius: in metres.
        area: in square metres.
        moment: of inertia, for each kilogram of mass.
    """

    __slots__ = ("area", "moment", "radius")

    def __init__(self, radius: Number) -> None:
        if not plain(radius) > 0.0:
            raise detrun.UsageError(f"a circle of radius {radius!r}: give a positive one")
        self.radius = radius
        self.area = math.pi * radius * radius
        self.moment = radius * radius / 2.0


class Polygon:
    """A convex polygon.

    Args:
        vertices: at least three, to the left around it, anywhere: their centroid becomes the origin.

    Attributes:
        vertices: around the centroid.
        normals: outward, of unit length; the one at ``i`` is that of the edge from vertex ``i`` to the next.
        area, moment: as of a circle.
    """

    __slots__ = ("area", "moment", "normals", "vertices")

    def __init__(self, vertices: Sequence[Vector]) -> None:
        _require_convex(vertices)
        doubled = weighted_x = weighted_y = 0.0
        for a, b in _edges(vertices):
            cross = a.cross(b)
            doubled, weighted_x, weighted_y = (
                doubled + cross,
                weighted_x + cross * (a.x + b.x),
                weighted_y + cross * (a.y + b.y),
            )
        centroid = Vector(weighted_x / (3.0 * doubled), weighted_y / (3.0 * doubled))
        self.vertices = tuple(vertex - centroid for vertex in vertices)
        self.normals = tuple(-((b - a).unit().turned_left()) for a, b in _edges(self.vertices))
        self.area = doubled / 2.0
        about_centroid = sum(
            (a.cross(b) * (a.dot(a) + a.dot(b) + b.dot(b)) for a, b in _edges(self.vertices)), start=0.0
        )
        self.moment = about_centroid / (6.0 * doubled)


Shape: TypeAlias = Circle | Polygon


def box(width: Number, height: Number) -> Polygon:
    """A rectangle with sides along the axes."""
    x, y = width / 2.0, height / 2.0
    return Polygon((Vector(-x, -y), Vector(x, -y), Vector(x, y), Vector(-x, y)))


def regular(corners: int, radius: Number) -> Polygon:
    """A regular polygon, by the radius of the circle around it."""
    angles = (math.tau * corner / corners for corner in range(corners))
    return Polygon(tuple(Vector(radius * detrun.cos(angle), radius * detrun.sin(angle)) for angle in angles))


def _edges(vertices: Sequence[Vector]) -> zip[tuple[Vector, Vector]]:
    return zip(vertices, (*vertices[1:], vertices[0]), strict=True)


def _require_convex(vertices: Sequence[Vector]) -> None:
    if len(vertices) < 3:
        raise detrun.UsageError(f"a polygon of {len(vertices)} vertices: give at least three")
    sides = [b - a for a, b in _edges(vertices)]
    for index, (one, following) in enumerate(_edges(sides)):
        if not plain(one.cross(following)) > 0.0:
            corner = vertices[(index + 1) % len(vertices)]
            raise detrun.UsageError(
                f"a polygon that does not turn left at {corner!r}: give convex vertices, to the left around it"
            )
