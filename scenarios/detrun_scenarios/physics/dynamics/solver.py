"""`Solver`: the impulses of all islands, found by several workers.

A small island is the work of one worker, which loads the velocities of its bodies, solves until the impulses settle,
and stores them: no other island has these bodies. A large island would keep the others waiting, so all workers solve
it together, one colour after the other (`colours`); each constraint loads and stores the velocities of its own two
bodies. Either way the order of constraints that share a body is fixed, so that every schedule gives the same bits.

Newton's law of impact together with friction can give energy, where an impact turns round the direction of sliding
(Kane and Levinson, "Dynamics", 1985). If an island has more energy after its impulses than forces alone would have
given it, its restitution is halved and its sweeps go on, until it has not.

A worker can be pre-empted before each sweep over a small island, and between load and store in a large one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import trio

from detrun_scenarios.physics.dynamics.body import Body
from detrun_scenarios.physics.dynamics.colours import Colours
from detrun_scenarios.physics.dynamics.constraints import Constraint
from detrun_scenarios.physics.dynamics.islands import Island
from detrun_scenarios.physics.dynamics.settings import Settings
from detrun_scenarios.physics.dynamics.velocities import Motion, Velocities
from detrun_scenarios.physics.geometry.vectors import Number
from detrun_scenarios.physics.workers import Workers

Act: TypeAlias = Callable[[Constraint, Motion, Motion], float]
Sweep: TypeAlias = Callable[[Act], Awaitable[float]]

GAIN_MAX = 0.001  # of an island's energy, for rounding and for rows that have not settled
SOFTENINGS_MAX = 5  # after which a thirty-second of the restitution is left


class Solver:
    """See the module.

    Args:
        velocities: of bodies, which include forces and no impulses yet.
        shifts: the velocities that change places alone, at first 0.
    """

    def __init__(
        self,
        workers: Workers,
        bodies: Sequence[Body],
        velocities: Velocities,
        shifts: Velocities,
        colours: Colours,
        settings: Settings,
    ) -> None:
        self._workers = workers
        self._bodies = bodies
        self._velocities = velocities
        self._shifts = shifts
        self._colours = colours
        self._is_fixed = [body.is_fixed for body in bodies]
        self._settings = settings

    async def solve(self, islands: Sequence[Island]) -> None:
        """Give every constraint its impulses."""
        large = [island for island in islands if len(island.constraints) >= self._settings.split_at]
        small = islands[len(large) :]  # the largest come first

        async def one(number: int) -> None:
            await self._alone(small[number])

        await self._workers.each(one, len(small))
        for island in large:
            await self._together(island)

    async def _alone(self, island: Island) -> None:
        motions = self._loaded(island, self._velocities)
        await self._settle(island, _over(island, motions), motions.__getitem__)
        self._store(motions, self._velocities)
        if any(constraint.pushes for constraint in island.constraints):
            shifts = self._loaded(island, self._shifts)
            await self._repeat(_over(island, shifts), _push, self._settings.pushes)
            self._store(shifts, self._shifts)

    def _loaded(self, island: Island, shared: Velocities) -> dict[int, Motion]:
        numbers = sorted({body for constraint in island.constraints for body in constraint.pair})
        return {body: shared.load(body) for body in numbers}

    def _store(self, motions: dict[int, Motion], shared: Velocities) -> None:
        for body, motion in motions.items():
            if not self._is_fixed[body]:
                shared.store(body, motion)

    async def _together(self, island: Island) -> None:
        groups = self._colours.groups(island.constraints)

        async def sweep(act: Act) -> float:
            return await self._sweep(groups, self._velocities, act)

        await self._settle(island, sweep, self._velocities.load)
        pushing = [[one for one in group if one.pushes] for group in groups]
        if any(pushing):

            async def shift(act: Act) -> float:
                return await self._sweep(pushing, self._shifts, act)

            await self._repeat(shift, _push, self._settings.pushes)

    async def _settle(self, island: Island, sweep: Sweep, motion_of: Callable[[int], Motion]) -> None:
        """Sweep until impulses settle and give no energy."""
        bounces = [constraint for constraint in island.constraints if constraint.bounces]
        most = self._energy(island, motion_of) * (1.0 + GAIN_MAX) if bounces else 0.0
        await sweep(_begin)
        await self._repeat(sweep, _solve, self._settings.iterations)
        for _ in range(SOFTENINGS_MAX if bounces else 0):
            if self._energy(island, motion_of) <= most:
                break
            for constraint in bounces:
                constraint.soften()
            await self._repeat(sweep, _solve, self._settings.iterations)

    def _energy(self, island: Island, motion_of: Callable[[int], Motion]) -> Number:
        return sum((self._bodies[body].energy_of(*motion_of(body)) for body in sorted(island.bodies)), start=0.0)

    async def _repeat(self, sweep: Sweep, act: Act, times: int) -> None:
        for _ in range(times):
            if await sweep(act) <= self._settings.precision:
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


def _over(island: Island, motions: dict[int, Motion]) -> Sweep:
    rows = [(one, motions[one.pair[0]], motions[one.pair[1]]) for one in island.constraints]

    async def sweep(act: Act) -> float:
        await trio.lowlevel.checkpoint()
        return max([act(constraint, here, there) for constraint, here, there in rows])

    return sweep


def _begin(constraint: Constraint, first: Motion, second: Motion) -> float:
    return constraint.begin(first, second)


def _solve(constraint: Constraint, first: Motion, second: Motion) -> float:
    return constraint.solve(first, second)


def _push(constraint: Constraint, first: Motion, second: Motion) -> float:
    return constraint.push(first, second)
