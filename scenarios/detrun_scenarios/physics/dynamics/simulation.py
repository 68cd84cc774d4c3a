"""`Simulation`: steps bodies through contacts, friction and joints; its workers share the work of each step.

A step of ``seconds`` is Moreau's midpoint rule. Bodies move half-way with the velocity that they have; there they are
looked at: which boxes overlap, which shapes meet, which bodies hang together. Forces and impulses then change the
velocities, and bodies move the other half with the new ones. Free flight under gravity is exact; an impact takes place
at the step in which shapes overlap, somewhat after the instant when they touch (`exact` locates that instant).

Phases follow each other, and the parts of a phase are done by several workers at once: *move* (a body each), *sweep*
(a body each), *meet* (a pair each; links islands), *solve* (an island each), *finish* (a body each). No part reads what
another part of its phase writes, but for links, whose order does not matter: every schedule gives the same bits.

Source: Moreau, "Numerical aspects of the sweeping process", CMAME 177, 1999; the phases are those of Box2D 3 and Jolt.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.physics.dynamics import invariants
from detrun_scenarios.physics.dynamics.body import Body
from detrun_scenarios.physics.dynamics.constraints import Constraint
from detrun_scenarios.physics.dynamics.contacts import Contact
from detrun_scenarios.physics.dynamics.islands import Island, islands
from detrun_scenarios.physics.dynamics.joints import Joint
from detrun_scenarios.physics.dynamics.parts import Parts
from detrun_scenarios.physics.dynamics.settings import Settings
from detrun_scenarios.physics.dynamics.solver import Solver
from detrun_scenarios.physics.dynamics.velocities import Velocities
from detrun_scenarios.physics.geometry.broad_phase import Pair
from detrun_scenarios.physics.geometry.narrow_phase import meeting
from detrun_scenarios.physics.geometry.placed import Placed
from detrun_scenarios.physics.geometry.vectors import Vector
from detrun_scenarios.physics.workers import Workers, working

EARTH = Vector(0.0, -9.81)  # m/s²
USUAL, RIGHT = Settings(), Parts()


class Simulation:
    """Steps bodies; made by `simulating`.

    Attributes:
        bodies: by number; what moves in a step is written to them at its end.
        joints: which may be changed between steps.
        contacts: of the last step, in the order of pairs.
        islands: of the last step, the largest first.
        steps: how many have been made.
    """

    def __init__(
        self,
        workers: Workers,
        bodies: Sequence[Body],
        joints: Sequence[Joint],
        gravity: Vector,
        settings: Settings,
        parts: Parts,
    ) -> None:
        self.bodies = bodies
        self.joints = joints
        self.contacts: list[Contact] = []
        self.islands: list[Island] = []
        self.steps = 0
        self._workers = workers
        self._gravity = gravity
        self._settings = settings
        self._is_fixed = [body.is_fixed for body in bodies]
        self._jointed = frozenset(tuple(sorted(joint.pair)) for joint in joints)
        self._placed = [Placed(body.shape, body.position, body.angle) for body in bodies]
        self._broad_phase = parts.broad_phase(self._is_fixed)
        for bounds, placed in zip(self._broad_phase.bounds, self._placed, strict=True):
            bounds.store(placed)
        self._links = parts.links(len(bodies))
        self._velocities = Velocities("velocity", len(bodies))
        self._shifts = Velocities("shift", len(bodies))
        colours = parts.colours(self._is_fixed)
        self._solver = Solver(workers, bodies, self._velocities, self._shifts, colours, settings)

    async def step(self, seconds: float) -> None:
        """Let time go on.

        Raises:
            AssertionViolatedError: an invariant does not hold.
        """
        balance = invariants.Balance(self.bodies, self._gravity, plain(seconds))
        pairs = await self._pairs(seconds)
        constraints = await self._constraints([pair for pair in pairs if pair not in self._jointed], seconds)
        invariants.check_islands(constraints, self._links, self._is_fixed)
        self.islands = islands(constraints, self._links, self._is_fixed)
        self._apply_forces(seconds)
        await self._solver.solve(self.islands)
        if self.steps % self._settings.looks == 0:
            boxes = [box.load() for box in self._broad_phase.bounds]
            invariants.check_pairs(pairs, boxes, self._is_fixed)
        await self._finish(seconds)
        balance.check_momentum(self.bodies, constraints)
        invariants.check_contacts(constraints)
        if not any(joint.drives for joint in self.joints):
            balance.check_energy()
        self.steps += 1

    def _apply_forces(self, seconds: float) -> None:
        gain = self._gravity * seconds
        for number, body in enumerate(self.bodies):
            velocity = body.velocity if body.is_fixed else body.velocity + gain
            self._velocities.store(number, [velocity.x, velocity.y, body.spin])
            self._shifts.store(number, [0.0, 0.0, 0.0])

    async def _pairs(self, seconds: float) -> list[Pair]:
        half = seconds * 0.5

        async def move(number: int) -> None:
            body = self.bodies[number]
            if not body.is_fixed:
                position, angle = body.position + body.velocity * half, body.angle + body.spin * half
                self._placed[number] = Placed(body.shape, position, angle)
                self._broad_phase.bounds[number].store(self._placed[number])

        return await self._broad_phase.pairs(self._workers, move)

    async def _constraints(self, pairs: Sequence[Pair], seconds: float) -> list[Constraint]:
        kept = {contact.pair: contact.impulses() for contact in self.contacts}
        contacts: list[Contact | None] = [None] * len(pairs)
        self._links.begin()

        async def meet(number: int) -> None:
            if number < len(pairs):
                first, second = pair = pairs[number]
                found = meeting(self._placed[first], self._placed[second])
                if found is None:
                    return
                constraint: Constraint
                constraint = contacts[number] = Contact(pair, found, kept.get(pair, {}))
            else:
                constraint = self.joints[number - len(pairs)]
            constraint.prepare(self.bodies, self._placed, seconds, self._settings)
            if not any(self._is_fixed[body] for body in constraint.pair):
                await self._links.link(*constraint.pair)

        await self._workers.each(meet, len(pairs) + len(self.joints))
        self.contacts = [contact for contact in contacts if contact is not None]
        return [*self.joints, *self.contacts]

    async def _finish(self, seconds: float) -> None:
        half = seconds * 0.5

        async def finish(number: int) -> None:
            body = self.bodies[number]
            if body.is_fixed:
                return
            x, y, spin = self._velocities.load(number)
            shift_x, shift_y, turn = self._shifts.load(number)
            velocity = Vector(x, y)
            body.position = body.position + (body.velocity + velocity) * half + Vector(shift_x, shift_y) * seconds
            body.angle = body.angle + (body.spin + spin) * half + turn * seconds
            body.velocity, body.spin = velocity, spin

        await self._workers.each(finish, len(self.bodies))


@asynccontextmanager
async def simulating(
    bodies: Sequence[Body],
    joints: Sequence[Joint] = (),
    *,
    gravity: Vector = EARTH,
    settings: Settings = USUAL,
    parts: Parts = RIGHT,
) -> AsyncIterator[Simulation]:
    """A simulation and its workers, which stop at the end.

    Args:
        joints: bodies that a joint holds together do not collide.
    """
    async with working(settings.workers) as workers:
        yield Simulation(workers, bodies, joints, gravity, settings, parts)
