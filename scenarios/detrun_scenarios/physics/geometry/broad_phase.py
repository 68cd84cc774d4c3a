"""`SweepAndPrune`: the pairs of bodies whose bounding boxes overlap.

Bodies are kept in the order of their left sides. From one step to the next that order hardly changes, so insertion sort
takes linear time. Each body is then compared with those that begin, to the right of it, before it ends. Both bounds and
comparisons are the work of several tasks; the bounds are cells that all of them see.

Source: Cohen, Lin, Manocha and Ponamgi, "I-COLLIDE", I3D 1995, along one axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import detrun
from detrun_scenarios.physics.geometry.placed import Placed
from detrun_scenarios.physics.workers import Phase, Work, Workers

Pair: TypeAlias = tuple[int, int]  # of body numbers, the lower one first


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


class SweepAndPrune:
    """See the module.

    Args:
        is_fixed: of each body; two that nothing moves are no pair.
    """

    def __init__(self, is_fixed: Sequence[bool]) -> None:
        self.bounds = [Bounds(body) for body in range(len(is_fixed))]
        self._is_fixed = is_fixed
        self._order = list(range(len(is_fixed)))
        self._lefts = [0.0] * len(is_fixed)  # as they were sorted
        self._found: list[list[Pair]] = [[] for _ in is_fixed]  # by place in the order

    async def pairs(self, workers: Workers, move: Work) -> list[Pair]:
        """Every pair whose boxes overlap, in order; ``move`` moves one body and stores its bounds."""
        await self.moved(workers.begin(move, len(self.bounds)))
        self._sort()
        await workers.each(self._sweep, len(self._order))
        return sorted(pair for found in self._found for pair in found)

    async def moved(self, phase: Phase) -> None:
        """Help to move the bodies, and wait until all have moved."""
        await phase.help()
        await phase.finished()

    def _sort(self) -> None:
        self._lefts = left = [bounds.left.value for bounds in self.bounds]
        order = self._order
        for place in range(1, len(order)):
            body = order[place]
            while place and left[order[place - 1]] > left[body]:
                order[place] = order[place - 1]
                place -= 1
            order[place] = body

    async def _sweep(self, place: int) -> None:
        order, bounds = self._order, self.bounds
        one = order[place]
        right, bottom, top = bounds[one].right.value, bounds[one].bottom.value, bounds[one].top.value
        found = self._found[place] = []
        for other in order[place + 1 :]:
            if self._lefts[other] > right:
                break
            if self._is_fixed[one] and self._is_fixed[other]:
                continue
            if bounds[other].bottom.value <= top and bounds[other].top.value >= bottom:
                found.append((min(one, other), max(one, other)))
