"""`meeting`: where two placed shapes overlap, as a normal and one or two points.

Circles meet along the line of their centres. Polygons are compared along every normal of both (the separating axis
theorem); the face of least overlap is the *reference*, and the opposite edge of the other polygon, clipped to the sides
of that face, gives up to two points. Which face that is, is decided on plain numbers, with a bias for the first polygon
that keeps it from flickering; distances are then computed of the chosen features alone. Where two faces give the same
overlap the distance has a kink and no jump, so that the comparison that counts is the one of the distance with 0.

A *feature* names what a point lies between, so that the next step knows it again.

Source: Gottschalk, Lin and Manocha, SIGGRAPH 1996, for the axes; Catto, "Fast and simple physics using sequential
impulses", GDC 2006, for clipping and features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.physics.geometry.placed import Outline, Placed
from detrun_scenarios.physics.geometry.shapes import Circle
from detrun_scenarios.physics.geometry.vectors import Number, Vector

BIAS = 5e-4  # metres: the second polygon's face is the reference only if it overlaps less by as much

Feature: TypeAlias = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Point:
    """Where two shapes meet.

    Attributes:
        position: half-way between the two surfaces.
        separation: of the surfaces along the normal, negative where they overlap.
        feature: what meets there.
    """

    position: Vector
    separation: Number
    feature: Feature


@dataclass(frozen=True, slots=True)
class Meeting:
    """How two shapes overlap.

    Attributes:
        normal: of unit length, from the first shape to the second.
        points: one or two.
    """

    normal: Vector
    points: tuple[Point, ...]


def meeting(first: Placed, second: Placed) -> Meeting | None:
    """Where two shapes overlap; None if they do not."""
    one, other = first.shape, second.shape
    if isinstance(one, Circle):
        if isinstance(other, Circle):
            return _circles(first.position, one.radius, second.position, other.radius)
        return _reversed(_at_polygon(second, first.position, one.radius))
    if isinstance(other, Circle):
        return _at_polygon(first, second.position, other.radius)
    return _polygons(first, second)


def _reversed(found: Meeting | None) -> Meeting | None:
    return None if found is None else Meeting(-found.normal, found.points)


def _circles(here: Vector, radius: Number, there: Vector, its_radius: Number) -> Meeting | None:
    offset, radii = there - here, radius + its_radius
    if offset.dot(offset) >= radii * radii:
        return None
    return _round(here, radius, offset, radii, ("circles", 0, 0))


def _round(centre: Vector, radius: Number, offset: Vector, radii: Number, feature: Feature) -> Meeting:
    """Of a circle, or of a corner as a circle of radius 0, with a circle at an offset from it."""
    if plain(offset.x) == 0.0 == plain(offset.y):
        distance, normal = 0.0, Vector(0.0, 1.0)  # concentric: any direction leads out
    else:
        distance = offset.length()
        normal = offset / distance
    separation = distance - radii
    return Meeting(normal, (Point(centre + normal * (radius + separation * 0.5), separation, feature),))


def _at_polygon(polygon: Placed, centre: Vector, radius: Number) -> Meeting | None:
    edge, _ = _farthest(polygon, ((plain(centre.x), plain(centre.y)),))
    start, end = polygon.vertices[edge], polygon.vertices[(edge + 1) % len(polygon.vertices)]
    normal = polygon.normals[edge]
    distance = (centre - start).dot(normal)
    if distance >= radius:
        return None
    if distance > 0.0:
        along = end - start
        corner = None
        if (centre - start).dot(along) < 0.0:
            corner = edge
        elif (centre - end).dot(along) > 0.0:
            corner = (edge + 1) % len(polygon.vertices)
        if corner is not None:
            offset = centre - polygon.vertices[corner]
            if offset.dot(offset) >= radius * radius:
                return None
            return _round(polygon.vertices[corner], 0.0, offset, radius, ("corner", corner, 0))
    separation = distance - radius
    position = centre - normal * (radius + separation * 0.5)
    return Meeting(normal, (Point(position, separation, ("face", edge, 0)),))


def _polygons(first: Placed, second: Placed) -> Meeting | None:
    edge_of_first, apart_by_first = _farthest(first, second.corners)
    edge_of_second, apart_by_second = _farthest(second, first.corners)
    if apart_by_second > apart_by_first + BIAS:
        return _reversed(_at_face(second, edge_of_second, first, "second"))
    return _at_face(first, edge_of_first, second, "first")


def _farthest(polygon: Placed, corners: Outline) -> tuple[int, float]:
    """The edge of the polygon that is farthest from all of the corners, or overlaps them least, and by how much."""
    best, most = 0, -float("inf")
    for edge, ((nx, ny), (x, y)) in enumerate(zip(polygon.faces, polygon.corners, strict=True)):
        apart = min((cx - x) * nx + (cy - y) * ny for cx, cy in corners)
        if apart > most:
            best, most = edge, apart
    return best, most


def _at_face(reference: Placed, edge: int, other: Placed, whose: str) -> Meeting | None:
    normal = reference.normals[edge]
    start = reference.vertices[edge]
    length = (reference.vertices[(edge + 1) % len(reference.vertices)] - start).length()
    nx, ny = reference.faces[edge]
    deepest = min(range(len(other.corners)), key=lambda at: other.corners[at][0] * nx + other.corners[at][1] * ny)
    depth = (other.vertices[deepest] - start).dot(normal)
    if depth >= 0.0:
        return None
    facing = min(range(len(other.faces)), key=lambda at: other.faces[at][0] * nx + other.faces[at][1] * ny)
    ends = (facing, (facing + 1) % len(other.vertices))
    found = []
    for corner, position in zip(ends, _clipped(other, ends, start, normal.turned_left(), length), strict=True):
        separation = (position - start).dot(normal)
        if separation < 0.0:
            found.append(Point(position - normal * (separation * 0.5), separation, (whose, edge, corner)))
    if not found:  # they overlap at a corner that lies beside the face
        middle = other.vertices[deepest] - normal * (depth * 0.5)
        found.append(Point(middle, depth, (whose, edge, deepest)))
    return Meeting(normal, tuple(found))


def _clipped(
    other: Placed, ends: tuple[int, int], start: Vector, along: Vector, length: Number
) -> tuple[Vector, Vector]:
    """The ends of an edge, each moved along the edge to where it is beside the face."""
    one, two = (other.vertices[end] for end in ends)
    # The edge runs against the face, so its first end is the one that may lie beyond the end of the face.
    at_one, at_two = (one - start).dot(along), (two - start).dot(along)
    run = at_one - at_two
    if not plain(run) > 0.0:
        return one, two  # at a right angle to the face: there is nothing to clip
    across = two - one
    first = one + across * ((at_one - length) / run) if at_one > length > at_two else one
    second = two + across * (at_two / run) if at_two < 0.0 < at_one else two
    return first, second
