"""`Placed`: a shape at a place, with what several questions about it need computed once."""

from __future__ import annotations

from typing import TypeAlias

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.physics.geometry.shapes import Circle, Shape
from detrun_scenarios.physics.geometry.vectors import Number, Vector, turned

Outline: TypeAlias = tuple[tuple[float, float], ...]


class Placed:
    """A shape at a place.

    Attributes:
        shape: around its own origin.
        position: of that origin.
        turn: cosine and sine of its angle.
        vertices, normals: of a polygon, in the plane; empty for a circle.
        corners, faces: the same as plain numbers.
    """

    __slots__ = ("corners", "faces", "normals", "position", "shape", "turn", "vertices")

    def __init__(self, shape: Shape, position: Vector, angle: Number) -> None:
        self.shape = shape
        self.position = position
        self.turn = turned(angle)
        self.vertices: tuple[Vector, ...] = ()
        self.normals: tuple[Vector, ...] = ()
        if not isinstance(shape, Circle):
            self.vertices = tuple(position + vertex.rotated(*self.turn) for vertex in shape.vertices)
            self.normals = tuple(normal.rotated(*self.turn) for normal in shape.normals)
        self.corners = _outline(self.vertices)
        self.faces = _outline(self.normals)

    def bounds(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of the box around it with sides along the axes, as plain numbers."""
        if isinstance(self.shape, Circle):
            x, y, reach = plain(self.position.x), plain(self.position.y), plain(self.shape.radius)
            return x - reach, x + reach, y - reach, y + reach
        across = [x for x, _ in self.corners]
        up = [y for _, y in self.corners]
        return min(across), max(across), min(up), max(up)


def _outline(vectors: tuple[Vector, ...]) -> Outline:
    return tuple((plain(one.x), plain(one.y)) for one in vectors)
