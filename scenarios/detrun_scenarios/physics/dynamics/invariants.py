"""What is always true of a step, checked at each.

- *every overlapping pair is found*: the broad phase gives the pairs that a comparison of all with all gives;
- *a body is in one island*: both bodies of each constraint that move have one root;
- *momentum is conserved*: what the bodies gain in a step is what forces and bodies that do not move have given;
- *contacts only push*: a normal impulse is not negative;
- *friction is within its cone*: a tangential impulse is at most the coefficient times the normal one;
- *contacts give no energy*: the bodies have at most the kinetic energy that forces alone would have given them, unless
  a joint drives.

All of it is computed of plain numbers, so that no gradient sees it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.frame.requirement import require
from detrun_scenarios.physics.dynamics.body import Body
from detrun_scenarios.physics.dynamics.constraints import Constraint
from detrun_scenarios.physics.dynamics.contacts import Contact
from detrun_scenarios.physics.dynamics.links import Links
from detrun_scenarios.physics.geometry.broad_phase import Pair, Sides
from detrun_scenarios.physics.geometry.vectors import Vector

PAIRS_ARE_FOUND: Final = "every overlapping pair is found"
ONE_ISLAND: Final = "a body is in one island"
MOMENTUM: Final = "momentum is conserved"
ONLY_PUSH: Final = "contacts only push"
IN_CONE: Final = "friction is within its cone"
NO_ENERGY: Final = "contacts give no energy"

ROUNDING: Final = 1e-9  # of a momentum, relative to the momenta that were added up
ENERGY_SHARE: Final = 0.02  # of the kinetic energy, for rows that have not settled


def check_pairs(pairs: Sequence[Pair], bounds: Sequence[Sides], is_fixed: Sequence[bool]) -> None:
    """Compare the pairs of the broad phase with all pairs of the boxes as they are now."""
    found = set(pairs)
    detail = ""
    for first, (left, right, bottom, top) in enumerate(bounds):
        for second in range(first + 1, len(bounds)):
            if is_fixed[first] and is_fixed[second]:
                continue
            its_left, its_right, its_bottom, its_top = bounds[second]
            overlap = its_left <= right and its_right >= left and its_bottom <= top and its_top >= bottom
            if overlap != ((first, second) in found):
                detail = f"bodies {first} and {second} {'overlap and are no pair' if overlap else 'are a pair'}"
    require(not detail, PAIRS_ARE_FOUND, detail)


def check_islands(constraints: Sequence[Constraint], links: Links, is_fixed: Sequence[bool]) -> None:
    """Look whether constraints join bodies of different islands."""
    detail = ""
    for first, second in (constraint.pair for constraint in constraints):
        if not is_fixed[first] and not is_fixed[second] and links.root(first) != links.root(second):
            detail = (
                f"bodies {first} and {second} hang together, and are in {links.root(first)} and {links.root(second)}"
            )
    require(not detail, ONE_ISLAND, detail)


def check_contacts(constraints: Sequence[Constraint]) -> None:
    """Look at the impulses of contacts."""
    pulling = sticking = ""
    for constraint in constraints:
        if isinstance(constraint, Contact):
            for pushing, sliding in constraint.points():
                normal = plain(pushing.impulse)
                if normal < 0.0:
                    pulling = f"the contact of {constraint.pair} has the normal impulse {normal:g}"
                if sliding is not None:
                    along, most = abs(plain(sliding.impulse)), plain(sliding.coefficient) * normal
                    if along > most * (1.0 + ROUNDING):
                        sticking = f"the contact of {constraint.pair} rubs with {along:g} of at most {most:g}"
    require(not pulling, ONLY_PUSH, pulling)
    require(not sticking, IN_CONE, sticking)


class Balance:
    """Of one step: what forces alone make of the bodies' motion.

    Args:
        gravity: in m/s².
    """

    def __init__(self, bodies: Sequence[Body], gravity: Vector, seconds: float) -> None:
        self._bodies = [body for body in bodies if not body.is_fixed]
        gain_x, gain_y = plain(gravity.x) * seconds, plain(gravity.y) * seconds
        self._free = [(x + gain_x, y + gain_y, spin) for x, y, spin in map(_motion, self._bodies)]

    def check_momentum(self, bodies: Sequence[Body], constraints: Sequence[Constraint]) -> None:
        """Compare what the bodies have gained beside that with what fixed bodies have given."""
        gained, given, size = [0.0, 0.0], [0.0, 0.0], 0.0
        for body, (x, y, _) in zip(self._bodies, self._free, strict=True):
            mass = plain(body.mass)
            now_x, now_y, _ = _motion(body)
            gained[0] += mass * (now_x - x)
            gained[1] += mass * (now_y - y)
            size += mass * (abs(now_x) + abs(now_y) + abs(x) + abs(y))
        for constraint in constraints:
            first, second = (bodies[number].is_fixed for number in constraint.pair)
            if first or second:
                for row in constraint.rows:
                    impulse = plain(row.impulse) * (1.0 if first else -1.0)
                    given[0] += impulse * plain(row.direction.x)
                    given[1] += impulse * plain(row.direction.y)
                    size += abs(impulse)
        lost = max(abs(gained[axis] - given[axis]) for axis in range(2))
        detail = f"fixed bodies have given {given}, and the others have gained {gained} (in N s)"
        require(lost <= ROUNDING * (1.0 + size), MOMENTUM, detail)

    def check_energy(self) -> None:
        """Compare kinetic energy with what it would be."""
        now = sum(plain(body.energy_of(*_motion(body))) for body in self._bodies)
        most = sum(plain(body.energy_of(*motion)) for body, motion in zip(self._bodies, self._free, strict=True))
        detail = f"bodies have {now:g} J, and would have {most:g} without contacts"
        require(now <= most * (1.0 + ENERGY_SHARE) + ROUNDING, NO_ENERGY, detail)


def _motion(body: Body) -> tuple[float, float, float]:
    return plain(body.velocity.x), plain(body.velocity.y), plain(body.spin)
