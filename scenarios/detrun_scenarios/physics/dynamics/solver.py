"""`Solver`: the impulses of all islands, found by several workers.

A small island is the work of one worker, which loads the velocities of its bodies, solves until the impulses settle,
and stores them: no other island has these bodies. A large island would keep the others waiting, so all workers solve
it together, one colour after the other (`colours`); each constraint loads and stores the velocities of its own two
bodies. Either way the order of constraints that share a body is fixed, so that every schedule gives the same bits.

A worker can be pre-empted after each sweep over a small island, and between load and store in a large one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import trio

from detrun_scenarios.physics.dynamics.colours import Colours
from detrun_scenarios.physics.dynamics.constraints import Constraint
from detrun_scenarios.physics.dynamics.islands import Island
from detrun_scenarios.physics.dynamics.settings import Settings
from detrun_scenarios.physics.dynamics.velocities import Motion, Velocities
from detrun_scenarios.physics.workers import Workers

Act: TypeAlias = Callable[[Constraint, Motion, Motion], float]


class Solver:
    """See the module.

    Args:
        velocities: of bodies, which include forces and no impulses yet.
        shifts: the velocities that change places alone, at first 0.

    Attributes:
        residual: the largest change of an impulse in the last sweep over any island, in N s, as a plain number: how far
            the solver is from the solution.
    """

    def __init__(
        self,
        workers: Workers,
        velocities: Velocities,
        shifts: Velocities,
        colours: Colours,
        is_fixed: Sequence[bool],
        settings: Settings,
    ) -> None:
        self._workers = workers
        self._velocities = velocities
        self._shifts = shifts
        self._colours = colours
        self._is_fixed = is_fixed
        self._settings = settings
        self.residual = 0.0

    async def solve(self, islands: Sequence[Island]) -> None:
        """Give every constraint its impulses."""
        self.residual = 0.0
        large = [island for island in islands if len(island.constraints) >= self._settings.split_at]
        small = islands[len(large) :]  # the largest come first

        async def one(number: int) -> None:
            await self._alone(small[number])

        await self._workers.each(one, len(small))
        for island in large:
            await self._together(island)

    async def _alone(self, island: Island) -> None:
        settings = self._settings
        change = await self._sweeps(island, self._velocities, settings.iterations, _solve, _begin)
        self.residual = max(self.residual, change)
        if any(constraint.pushes for constraint in island.constraints):
            await self._sweeps(island, self._shifts, settings.pushes, _push)

    async def _sweeps(
        self, island: Island, shared: Velocities, sweeps: int, act: Act, first: Act | None = None
    ) -> float:
        numbers = sorted({body for constraint in island.constraints for body in constraint.pair})
        motions = {body: shared.load(body) for body in numbers}
        rows = [(one, motions[one.pair[0]], motions[one.pair[1]]) for one in island.constraints]
        if first is not None:
            for constraint, here, there in rows:
                first(constraint, here, there)
        change = 0.0
        for _ in range(sweeps):
            await trio.lowlevel.checkpoint()
            change = max([act(constraint, here, there) for constraint, here, there in rows])
            if change <= self._settings.precision:
                break
        for body in numbers:
            if not self._is_fixed[body]:
                shared.store(body, motions[body])
        return change

    async def _together(self, island: Island) -> None:
        settings = self._settings
        groups = self._colours.groups(island.constraints)
        await self._sweep(groups, self._velocities, _begin)
        for _ in range(settings.iterations):
            change = await self._sweep(groups, self._velocities, _solve)
            if change <= settings.precision:
                break
        self.residual = max(self.residual, change)
        pushing = [[one for one in group if one.pushes] for group in groups]
        for _ in range(settings.pushes if any(pushing) else 0):
            if await self._sweep(pushing, self._shifts, _push) <= settings.precision:
                break

    async def _sweep(self, groups: Sequence[Sequence[Constraint]], shared: Velocities, act: Act) -> float:
        change = 0.0
        for group in groups:
            changes = [0.0] * len(group)

            async def one(number: int, group: Sequence[Constraint] = group, changes: list[float] = changes) -> None:
                changes[number] = await self.apply(group[number], shared, act)

            await self._workers.each(one, len(group))
            change = max([change, *changes])
        return change

    async def apply(self, constraint: Constraint, shared: Velocities, act: Act) -> float:
        """Correct one constraint of a large island; by how much."""
        first, second = constraint.pair
        here, there = shared.load(first), shared.load(second)
        await trio.lowlevel.checkpoint()
        change = act(constraint, here, there)
        if not self._is_fixed[first]:
            shared.store(first, here)
        if not self._is_fixed[second]:
            shared.store(second, there)
        return change


def _begin(constraint: Constraint, first: Motion, second: Motion) -> float:
    return constraint.begin(first, second)


def _solve(constraint: Constraint, first: Motion, second: Motion) -> float:
    return constraint.solve(first, second)


def _push(constraint: Constraint, first: Motion, second: Motion) -> float:
    return constraint.push(first, second)
