"""Impacts: velocities just after from those just before, with nothing moved in between.

Newton's restitution along the normal, Coulomb's friction across it: the impulse that stops the slip at the point of
contact, or the coefficient times the normal impulse if that is less (Routh, "Dynamics of a System of Rigid Bodies",
1905). Which of both is a comparison, so a site of the gradient; velocities are continuous there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from detrun_scenarios.physics.geometry.vectors import Number, Vector

DISC = 0.5  # moment of inertia over mass and squared radius
NEGLIGIBLE = 1e-12  # m/s of approach


class Surface(NamedTuple):
    """What an impact depends on."""

    restitution: Number
    friction: Number


def rebound(velocity: Vector, rim_speed: Number, normal: Vector, surface: Surface) -> tuple[Vector, Number]:
    """A disc against a wall: its velocity and rim speed afterwards.

    Args:
        velocity: of its centre, in m/s, towards the wall.
        rim_speed: spin times radius, to the left.
        normal: of the wall, of unit length, towards the body.
    """
    along = -normal.turned_left()
    pressed = -(1.0 + surface.restitution) * velocity.dot(normal)  # impulses are for each kilogram
    slip = velocity.dot(along) + rim_speed
    stopping = slip * (-DISC / (1.0 + DISC))
    most = surface.friction * pressed
    if stopping > most:
        rubbed = most
    elif stopping < -most:
        rubbed = -most
    else:
        rubbed = stopping
    return velocity + normal * pressed + along * rubbed, rim_speed + rubbed / DISC


def exchange(
    masses: tuple[Number, Number], velocities: tuple[Number, Number], restitution: Number
) -> tuple[Number, Number]:
    """Two bodies along their line of centres: momentum is kept, and the speed of approach becomes one of leaving."""
    first, second = masses
    impulse = (1.0 + restitution) * (velocities[0] - velocities[1]) * first * second / (first + second)
    return velocities[0] - impulse / first, velocities[1] + impulse / second


def cascade(masses: Sequence[Number], velocities: Sequence[Number], restitution: Number) -> list[Number]:
    """A row of bodies that touch: pairs that approach each other exchange impulses, from the left, until none does.

    This is the order of Newton's cradle, in which a wave passes from ball to ball (Herrmann and Seitz, "How does the
    ball-chain work?", American Journal of Physics 50, 1982).
    """
    found = list(velocities)
    while True:
        meeting = [at for at in range(len(found) - 1) if found[at] - found[at + 1] > NEGLIGIBLE]
        if not meeting:
            return found
        for at in meeting:
            found[at : at + 2] = exchange((masses[at], masses[at + 1]), (found[at], found[at + 1]), restitution)
