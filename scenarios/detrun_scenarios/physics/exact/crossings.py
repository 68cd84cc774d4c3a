"""Where in a step a guard falls to zero, and where it nearly does, on plain numbers.

Between its ends a step is taken for the cubic with the states and slopes there, which is exact for constant forces. A
guard over that is taken for cubics, too, on so many parts of the step that each has the guard's value in its middle.
The crossing itself is then found by steps of the method, to the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

ITERATIONS_MAX = 100
LAST_DIGITS = 4e-16
SHAPE = 1e-3  # of a guard's size: by how much a cubic may be off in its middle
SPLITS_MAX = 6


def pieces(width: float, margin_and_rate: Callable[[float], tuple[float, float]]) -> list[tuple[float, Cubic]]:
    """A guard over a step, as cubics one after the other, each with the time at which it begins."""

    def split(begin: tuple[float, float, float], end: tuple[float, float, float], depth: int) -> None:
        middle = 0.5 * (begin[0] + end[0])
        there = (middle, *margin_and_rate(middle))
        cubic = Cubic(end[0] - begin[0], begin[1], begin[2], end[1], end[2])
        size = max(abs(begin[1]), abs(end[1]), cubic.width * max(abs(begin[2]), abs(end[2])))
        if depth and abs(cubic(middle - begin[0]) - there[1]) > SHAPE * size:
            split(begin, there, depth - 1)
            split(there, end, depth - 1)
        else:
            found.append((begin[0], cubic))

    found: list[tuple[float, Cubic]] = []
    split((0.0, *margin_and_rate(0.0)), (width, *margin_and_rate(width)), SPLITS_MAX)
    return found


@dataclass(frozen=True, slots=True)
class Cubic:
    """A cubic over 0 to ``width`` by its values and slopes at both ends."""

    width: float
    start: float
    start_rate: float
    end: float
    end_rate: float

    def __call__(self, at: float) -> float:
        """The value ``at`` seconds after the start."""
        share = at / self.width
        rest = 1.0 - share
        return rest * rest * ((1.0 + 2.0 * share) * self.start + at * self.start_rate) + share * share * (
            (3.0 - 2.0 * share) * self.end - (self.width - at) * self.end_rate
        )

    def rate(self, at: float) -> float:
        """The slope there."""
        share = at / self.width
        rest = 1.0 - share
        return (
            6.0 * share * rest * (self.end - self.start) / self.width
            + rest * (1.0 - 3.0 * share) * self.start_rate
            + share * (3.0 * share - 2.0) * self.end_rate
        )

    def turns(self) -> list[float]:
        """Where it is level, inside the step, in order."""
        height = (self.end - self.start) / self.width
        square = 3.0 * (self.start_rate + self.end_rate - 2.0 * height)
        line = 2.0 * (3.0 * height - 2.0 * self.start_rate - self.end_rate)
        return sorted(self.width * root for root in _roots(square, line, self.start_rate) if 0.0 < root < 1.0)

    def first_fall(self) -> tuple[float, float] | None:
        """A stretch in which it comes down from above zero to zero or below, the first one."""
        points = [0.0, *self.turns(), self.width]
        for low, high in pairwise(points):
            if self(low) > 0.0 >= self(high):
                return low, high
        return None

    def zero(self, low: float, high: float) -> float:
        """Where in such a stretch it is zero."""
        return locate(low, high, lambda at: (self(at), 0.0))

    def dips(self) -> list[float]:
        """Where it turns upward again above zero."""
        points = [0.0, *self.turns(), self.width]
        inner = zip(points, points[1:], points[2:], strict=False)
        return [at for before, at, after in inner if 0.0 < self(at) <= min(self(before), self(after))]


def locate(low: float, high: float, margin_and_rate: Callable[[float], tuple[float, float]]) -> float:
    """When a margin that is positive at ``low`` and not at ``high`` is zero: Newton's method inside a bracket."""
    at = 0.5 * (low + high)
    for _ in range(ITERATIONS_MAX):
        margin, rate = margin_and_rate(at)
        if margin > 0.0:
            low = at
        else:
            high = at
        guess = at - margin / rate if rate < 0.0 else math.inf
        then = guess if low <= guess <= high else 0.5 * (low + high)
        if margin == 0.0 or abs(then - at) <= LAST_DIGITS * max(high, 1e-3):
            return then
        at = then
    return at


def _roots(square: float, line: float, constant: float) -> Iterator[float]:
    if abs(square) <= 1e-14 * (abs(line) + abs(constant)):
        if line != 0.0:
            yield -constant / line
        return
    inside = line * line - 4.0 * square * constant
    if inside >= 0.0:
        larger = -0.5 * (line + math.copysign(math.sqrt(inside), line))
        yield larger / square
        if larger != 0.0:
            yield constant / larger
