"""`Course`: a path with a length along it: where it is after so many metres, and how far along it a point is.

Between two points of the path position, heading and curvature are linear, so that all are continuous in the length.
Which piece a point belongs to is found on plain numbers; within it, everything is smooth.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.robot.geometry.angles import near
from detrun_scenarios.robot.geometry.place import Point


class Spot(NamedTuple):
    """A place on a course: metres, radians, and radians a metre."""

    x: Any
    y: Any
    heading: Any
    curvature: Any


class Course:
    """Along these points, of which no two neighbours are the same.

    Attributes:
        length: in metres.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = list(points)
        self._lengths = [0.0]
        for before, after in pairwise(points):
            self._lengths.append(self._lengths[-1] + math.dist(before, after))
        self.length = self._lengths[-1]
        self._headings = _headings(points)
        self._curvatures = self._curvature_at_points()

    def _curvature_at_points(self) -> list[float]:
        found = []
        for at in range(len(self.points)):
            first, last = max(at - 1, 0), min(at + 1, len(self.points) - 1)
            turned = self._headings[last] - self._headings[first]
            found.append(turned / (self._lengths[last] - self._lengths[first]))
        return found

    def at(self, length: Any) -> Spot:
        """The place so many metres along; beyond its ends the course stands still."""
        if plain(length) <= 0.0:
            return self._spot(0, 0.0)
        if plain(length) >= self.length:
            return self._spot(len(self.points) - 2, 1.0)
        piece = bisect_right(self._lengths, plain(length)) - 1
        return self._spot(piece, (length - self._lengths[piece]) / (self._lengths[piece + 1] - self._lengths[piece]))

    def curvature(self, length: Any, ahead: float) -> Any:
        """The mean of so many metres ahead."""
        return (self.at(length + ahead).heading - self.at(length).heading) / ahead

    def _spot(self, piece: int, share: Any) -> Spot:
        (x, y), (next_x, next_y) = self.points[piece], self.points[piece + 1]
        heading, curvature = self._headings[piece], self._curvatures[piece]
        return Spot(
            x + share * (next_x - x),
            y + share * (next_y - y),
            heading + share * (self._headings[piece + 1] - heading),
            curvature + share * (self._curvatures[piece + 1] - curvature),
        )

    def progress(self, x: Any, y: Any, expected: float, reach: float = 0.6) -> Any:
        """How far along the point nearest to (x, y) is, of those within ``reach`` metres of the expected one."""
        best, nearest = 0, math.inf
        for piece in range(len(self.points) - 1):
            if self._lengths[piece + 1] < expected - reach or self._lengths[piece] > expected + reach:
                continue
            share = min(max(plain(self._share(piece, x, y)), 0.0), 1.0)
            spot = self._spot(piece, share)
            away = math.hypot(plain(x) - spot.x, plain(y) - spot.y)
            if away < nearest:
                best, nearest = piece, away
        within = detrun.clip(self._share(best, x, y), 0.0, 1.0)
        return self._lengths[best] + within * (self._lengths[best + 1] - self._lengths[best])

    def _share(self, piece: int, x: Any, y: Any) -> Any:
        (from_x, from_y), (to_x, to_y) = self.points[piece], self.points[piece + 1]
        along, up = to_x - from_x, to_y - from_y
        return ((x - from_x) * along + (y - from_y) * up) / (along * along + up * up)


def _headings(points: Sequence[Point]) -> list[float]:
    """At each point the direction between its neighbours, without a jump by whole turns."""
    found: list[float] = []
    for at in range(len(points)):
        (x, y), (next_x, next_y) = points[max(at - 1, 0)], points[min(at + 1, len(points) - 1)]
        heading = math.atan2(next_y - y, next_x - x)
        found.append(near(heading, found[-1]) if found else heading)
    return found
