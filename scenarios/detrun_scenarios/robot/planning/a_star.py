"""A*: a shortest way over the free cells of a grid, to the eight neighbours of each.

The heuristic is the octile distance, which never says too much. Of equal estimates the cell that was found first is
looked at first. Tests hold the lengths against networkx.

Source: Hart, Nilsson and Raphael, "A formal basis for the heuristic determination of minimum cost paths", 1968.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import count, product
from typing import TypeAlias

Cell: TypeAlias = tuple[int, int]

DIAGONAL = math.sqrt(2.0)


def octile(one: Cell, other: Cell) -> float:
    """The least length between two cells of an empty grid, in cells."""
    across, up = abs(one[0] - other[0]), abs(one[1] - other[1])
    return max(across, up) + (DIAGONAL - 1.0) * min(across, up)


def neighbours(cell: Cell, is_free: Callable[[Cell], bool]) -> Iterator[tuple[Cell, float]]:
    """Free cells around this one with their distance; a diagonal step needs both cells beside it to be free."""
    x, y = cell
    for across, up in product((-1, 0, 1), repeat=2):
        to = (x + across, y + up)
        if to == cell or not is_free(to):
            continue
        if across and up:
            if is_free((x + across, y)) and is_free((x, y + up)):
                yield to, DIAGONAL
        else:
            yield to, 1.0


def shortest(start: Cell, goal: Cell, is_free: Callable[[Cell], bool]) -> tuple[list[Cell], int] | None:
    """A shortest way with both ends, and how many cells were expanded; None if no way leads to the goal."""
    order = count()
    length = {start: 0.0}
    came_from: dict[Cell, Cell] = {}
    waiting = [(octile(start, goal), next(order), start)]
    done: set[Cell] = set()
    while waiting:
        _, _, cell = heappop(waiting)
        if cell in done:
            continue
        done.add(cell)
        if cell == goal:
            way = [cell]
            while way[-1] in came_from:
                way.append(came_from[way[-1]])
            return way[::-1], len(done)
        for to, step in neighbours(cell, is_free):
            new = length[cell] + step
            if new < length.get(to, math.inf):
                length[to] = new
                came_from[to] = cell
                heappush(waiting, (new + octile(to, goal), next(order), to))
    return None
