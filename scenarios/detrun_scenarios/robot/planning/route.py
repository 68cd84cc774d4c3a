"""From a place to another: A* on a grid, shortcuts where nothing is in the way, and corners that are cut round.

Cells are free where the robot's middle may be. A shortcut joins two points of the way between which a straight line
keeps the margin; each goes to the farthest point that can be joined. Corners are cut by Chaikin's rule, each if the cut
keeps a smaller margin; one that cannot be cut stays.

Source: Chaikin, "An algorithm for high-speed curve generation", 1974.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import pairwise, product

from detrun_scenarios.robot.geometry.course import Course
from detrun_scenarios.robot.geometry.place import Place, Point, between
from detrun_scenarios.robot.planning.a_star import Cell, shortest
from detrun_scheduler.errors import UsageError

CELL = 0.1  # m
HULL = 0.22  # m, radius of the robot
MARGIN = HULL + 0.12  # m, of the robot's middle from what is in the way, for the search and for shortcuts
ROUND_MARGIN = HULL + 0.06  # m, for corners that are cut, which come nearer
ROUNDS = 4  # of cutting corners
SPACING = 0.06  # m, between points of a course


class Grid:
    """The cells of a place that are free for the robot's middle."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._free: dict[Cell, bool] = {}
        self._all: list[Cell] | None = None  # that are free, once they were asked for

    def is_free(self, cell: Cell) -> bool:
        """Whether the middle of the cell has `MARGIN`."""
        if cell not in self._free:
            self._free[cell] = self.place.clearance(*self.middle(cell)) >= MARGIN
        return self._free[cell]

    @staticmethod
    def middle(cell: Cell) -> Point:
        """Of a cell."""
        return ((cell[0] + 0.5) * CELL, (cell[1] + 0.5) * CELL)

    def nearest_free(self, point: Point) -> Cell:
        """The free cell whose middle is nearest to a point.

        Raises:
            UsageError: no cell is free.
        """
        if self._all is None:
            across, up = round(self.place.width / CELL), round(self.place.height / CELL)
            self._all = [cell for cell in product(range(across), range(up)) if self.is_free(cell)]
        if not self._all:
            raise UsageError(f"no cell is {MARGIN:g} m from walls and obstacles; give the place more room")
        return min(self._all, key=lambda cell: (math.dist(self.middle(cell), point), cell))


@cache
def grid_of(place: Place) -> Grid:
    """The grid of a place, which is made once."""
    return Grid(place)


def routed(place: Place, start: Point, goal: Point) -> tuple[Course, int]:
    """A course that keeps the margin as far as its ends do, and how many cells the search has expanded.

    Raises:
        UsageError: no cell is free, or walls and obstacles cut the goal off from the start.
    """
    grid = grid_of(place)
    found = shortest(grid.nearest_free(start), grid.nearest_free(goal), grid.is_free)
    if found is None:
        raise UsageError(f"{goal} is cut off from {start} for a robot that keeps {MARGIN:g} m away; move an obstacle")
    cells, expanded = found
    corners = shortcut(place, [start, *(grid.middle(cell) for cell in cells), goal])
    return Course(spaced(rounded(place, corners))), expanded


def shortcut(place: Place, points: Sequence[Point]) -> list[Point]:
    """The way with every detour left out that a straight line can replace."""
    kept, at = [points[0]], 0
    while at < len(points) - 1:
        last = len(points) - 1
        while last > at + 1 and not place.is_clear(points[at], points[last], MARGIN):
            last -= 1
        kept.append(points[last])
        at = last
    return kept


def rounded(place: Place, corners: Sequence[Point]) -> list[Point]:
    """The way with its corners cut, as round as `ROUND_MARGIN` allows."""
    found = list(corners)
    for _ in range(ROUNDS):
        cut = [found[0]]
        for before, corner, after in zip(found, found[1:], found[2:], strict=False):
            first, last = between(corner, before, 0.25), between(corner, after, 0.25)
            cut += [first, last] if place.is_clear(first, last, ROUND_MARGIN) else [corner]
        found = [*cut, found[-1]]
    return found


def spaced(points: Sequence[Point]) -> list[Point]:
    """Points of the same way, about `SPACING` apart."""
    lengths = [0.0]
    for one, other in pairwise(points):
        lengths.append(lengths[-1] + math.dist(one, other))
    count = max(math.ceil(lengths[-1] / SPACING), 2)
    found, piece = [points[0]], 0
    for number in range(1, count):
        wanted = lengths[-1] * number / count
        while lengths[piece + 1] < wanted:
            piece += 1
        share = (wanted - lengths[piece]) / (lengths[piece + 1] - lengths[piece])
        found.append(between(points[piece], points[piece + 1], share))
    return [*found, points[-1]]
