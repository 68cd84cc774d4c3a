"""`Place`: the room that the robot works in: its size, its obstacles, its landmarks and the names of places.

Distances are exact, for discs and boxes; the grid of the planner is made from them. Metres throughout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import detrun
from detrun_scenarios.frame.plain import plain

Point: TypeAlias = tuple[float, float]

STRIDE = 0.01  # m, between two looks along a line, at least


@dataclass(frozen=True, slots=True)
class Disc:
    """A round obstacle."""

    x: float
    y: float
    radius: float

    def distance(self, x: Any, y: Any) -> Any:
        """From a point to its edge; negative inside."""
        return detrun.hypot(x - self.x, y - self.y) - self.radius


@dataclass(frozen=True, slots=True)
class Box:
    """An obstacle with sides along the axes."""

    left: float
    low: float
    right: float
    high: float

    def distance(self, x: Any, y: Any) -> Any:
        """From a point to its edge; negative inside."""
        across = max(self.left - x, x - self.right, key=plain)
        along = max(self.low - y, y - self.high, key=plain)
        if plain(across) > 0.0 and plain(along) > 0.0:
            return detrun.hypot(across, along)
        return max(across, along, key=plain)


Obstacle: TypeAlias = Disc | Box


@dataclass(frozen=True, slots=True)
class Place:
    """A room from (0, 0) to (width, height).

    Attributes:
        landmarks: that a camera knows, by number.
        sites: places that have a name, with the heading of the robot there in radians.
    """

    width: float
    height: float
    obstacles: tuple[Obstacle, ...]
    landmarks: tuple[Point, ...]
    sites: Mapping[str, tuple[float, float, float]] = field(hash=False)

    def clearance(self, x: Any, y: Any) -> Any:
        """From a point to the nearest obstacle or wall."""
        walls = (x, self.width - x, y, self.height - y)
        return min((*walls, *(one.distance(x, y) for one in self.obstacles)), key=plain)

    def is_clear(self, start: Point, end: Point, margin: float) -> bool:
        """Whether every point of a straight line has that clearance.

        A point with more has it all around, so that the next look is that much farther on, and `STRIDE` at least.
        """
        length, gone = math.dist(start, end), 0.0
        while True:
            share = gone / length if length else 1.0
            spare = self.clearance(*between(start, end, share)) - margin
            if spare < 0.0:
                return False
            if gone >= length:
                return True
            gone = min(gone + max(spare, STRIDE), length)


def between(one: Point, other: Point, share: float) -> Point:
    """That share of the way from one point to another."""
    return (one[0] + share * (other[0] - one[0]), one[1] + share * (other[1] - one[1]))


WORKSHOP = Place(
    width=6.0,
    height=4.0,
    obstacles=(Box(1.6, 0.0, 1.9, 2.2), Box(3.7, 1.8, 4.0, 4.0), Disc(2.8, 2.0, 0.1), Disc(5.0, 1.3, 0.25)),
    landmarks=((0.0, 0.0), (0.0, 4.0), (1.75, 2.2), (2.8, 4.0), (3.85, 1.8), (6.0, 0.0), (6.0, 4.0), (2.8, 0.0)),
    sites={"shelf": (0.7, 0.8, 1.5), "bench": (5.2, 3.2, 1.6), "dock": (0.7, 3.2, -3.1)},
)
"""Two walls that reach into a room, with a pillar between them and another one behind."""
