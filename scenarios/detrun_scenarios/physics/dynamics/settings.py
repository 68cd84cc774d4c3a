"""`Settings`: how finely the engine computes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """How finely the engine computes.

    Attributes:
        workers: tasks beside the one that steps.
        iterations: of the solver, at most; Box2D 2 has 8 for velocities and 3 for places.
        pushes: of the solver for places, at most.
        precision: in N s: the solver stops when no impulse of a sweep changes by more.
        push_share: of an overlap or a drift that one step takes away (Baumgarte's factor).
        slop: an overlap, in metres, that is left so that what rests keeps touching.
        resting_speed: in m/s: slower impacts have no restitution.
        split_at: constraints from which on an island is solved by several workers at once (Jolt has 128).
        looks: the pairs of every so many steps are compared with all pairs.
    """

    workers: int = 3
    iterations: int = 10
    pushes: int = 4
    precision: float = 1e-13
    push_share: float = 0.2
    slop: float = 0.002
    resting_speed: float = 0.02
    split_at: int = 32
    looks: int = 1
