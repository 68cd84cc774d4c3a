"""`SweepAndPrune`: the pairs of bodies whose bounding boxes overlap.

Bodies are kept in the order of their left sides. From one step to the next that order hardly changes, so that sorting
takes linear time (the paper has insertion sort; so does `list.sort` within its runs). Each body is then compared with
those that begin, to the right of it, before it ends. Moving and comparing is the work of several tasks; the bounds are
cells that all of them see.

Source: Cohen, Lin, Manocha and Ponamgi, "I-COLLIDE", I3D 1995, along one axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import detrun
from detrun_scenarios.physics.geometry.placed import Placed
from detrun_scenarios.physics.workers import Phase, Work, Workers

Pair: TypeAlias = tuple[int, int]  # of body numbers, the lower one first
Sides: TypeAlias = tuple[float, float, float, float]


class Bounds:
    """The box around one body, with sides along the axes: plain numbers that tasks share."""

    __slots__ = ("bottom", "left", "right", "top")

    def __init__(self, body: int) -> None:
        self.left = detrun.Shared(0.0, name=f"left side of body {body}")
        self.right = detrun.Shared(0.0, name=f"right side of body {body}")
        self.bottom = detrun.Shared(0.0, name=f"bottom of body {body}")
        self.top = detrun.Shared(0.0, name=f"top of body {body}")

    def store(self, placed: Placed) -> None:
        """The body has moved."""
        self.left.value, self.right.value, self.bottom.value, self.top.value = placed.bounds()

    def load(self) -> Sides:
        """Left, right, bottom and top."""
        return self.left.value, self.right.value, self.bottom.value, self.top.value


class SweepAndPrune:
    """See the module.

    Args:
        is_fixed: of each body; two that nothing moves are no pair.
    """

    def __init__(self, is_fixed: Sequence[bool]) -> None:
        self.bounds = [Bounds(body) for body in range(len(is_fixed))]
        self._is_fixed = is_fixed
        self._order = list(range(len(is_fixed)))

    async def pairs(self, workers: Workers, move: Work) -> list[Pair]:
        """Every pair whose boxes overlap, in order; ``move`` moves one body and stores its bounds."""
        await self.moved(workers.begin(move, len(self.bounds)))
        lefts = self._sort()
        order, found = tuple(self._order), list[Pair]()

        async def sweep(place: int) -> None:
            found.extend(self._right_of(order[place], order[place + 1 :], lefts))

        await workers.each(sweep, len(order))
        return sorted(found)

    async def moved(self, phase: Phase) -> None:
        """Help to move the bodies, and wait until all have moved."""
        await phase.help()
        await phase.finished()

    def _sort(self) -> list[float]:
        """Put bodies in order; the left sides by which that was done."""
        lefts = [bounds.left.value for bounds in self.bounds]
        self._order.sort(key=lefts.__getitem__)
        return lefts

    def _right_of(self, one: int, others: Sequence[int], lefts: Sequence[float]) -> Iterator[Pair]:
        box = self.bounds[one]
        right, bottom, top = box.right.value, box.bottom.value, box.top.value
        for other in others:
            if lefts[other] > right:
                break
            if self._is_fixed[one] and self._is_fixed[other]:
                continue
            box = self.bounds[other]
            if box.bottom.value <= top and box.top.value >= bottom:
                yield min(one, other), max(one, other)
