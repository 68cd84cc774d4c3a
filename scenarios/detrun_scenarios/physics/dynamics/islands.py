"""`Island`: bodies that hang together by contacts and joints, and nothing else touches them.

What nothing moves holds no island together: two stacks on one ground are two islands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from detrun_scenarios.physics.dynamics.constraints import Constraint
from detrun_scenarios.physics.dynamics.links import Links


@dataclass(slots=True)
class Island:
    """Constraints that share bodies, each pair in order, and the bodies that move among them."""

    constraints: list[Constraint] = field(default_factory=list)
    bodies: set[int] = field(default_factory=set)


def islands(constraints: Iterable[Constraint], links: Links, is_fixed: Sequence[bool]) -> list[Island]:
    """The islands, the one with most constraints first, since it takes longest."""
    by_root: dict[int, Island] = {}
    for constraint in constraints:
        moving = [body for body in constraint.pair if not is_fixed[body]]
        island = by_root.setdefault(links.root(moving[0]), Island())
        island.constraints.append(constraint)
        island.bodies.update(moving)
    return sorted(by_root.values(), key=lambda island: (-len(island.constraints), min(island.bodies)))
