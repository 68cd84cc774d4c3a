"""`Contact`: two bodies that touch, with unilateral contact, restitution and Coulomb friction.

At each point, the bodies do not approach along the normal after the step, or, if they came faster than the speed of
rest, they part at ``restitution`` times the speed at which they came: Newton's law of impact in the form of Moreau, who
takes the speeds at the beginning and at the end of the step. The normal impulse only pushes. The tangential one is at
most ``friction`` times the normal one, and where it is less the bodies stick.

Two surfaces have the mean of their coefficients, as in PhysX and Unity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.physics.dynamics.body import Body
from detrun_scenarios.physics.dynamics.constraints import Constraint
from detrun_scenarios.physics.dynamics.rows import Row
from detrun_scenarios.physics.dynamics.settings import Settings
from detrun_scenarios.physics.geometry.narrow_phase import Feature, Meeting
from detrun_scenarios.physics.geometry.placed import Placed
from detrun_scenarios.physics.geometry.vectors import Number

Kept: TypeAlias = Mapping[Feature, tuple[Number, Number]]
"""Impulses of a step by feature, normal and tangential: the guess for the next one."""


class Contact(Constraint):
    """See the module.

    Args:
        kept: impulses of the step before.
    """

    __slots__ = ("_kept", "_points", "meeting")

    def __init__(self, pair: tuple[int, int], meeting: Meeting, kept: Kept) -> None:
        super().__init__(pair)
        self.meeting = meeting
        self._kept = kept
        self._points: list[tuple[Feature, Row, Row | None]] = []

    def prepare(self, bodies: Sequence[Body], placed: Sequence[Placed], seconds: float, settings: Settings) -> None:
        """See `Constraint`. The tangential rows come last, so that they end within the cone of the normal ones."""
        first, second = (bodies[number] for number in self.pair)
        here, there = (placed[number].position for number in self.pair)
        normal, restitution = self.meeting.normal, (first.restitution + second.restitution) * 0.5
        friction = (first.friction + second.friction) * 0.5
        along = normal.turned_left()
        for point in self.meeting.points:
            to_first, to_second = point.position - here, point.position - there
            arms = (to_first.cross(normal), to_second.cross(normal))
            came = (second.velocity_at(to_second) - first.velocity_at(to_first)).dot(normal)
            parting = -restitution * came if came < -settings.resting_speed else 0.0
            pushing = Row(first, second, normal, arms, parting, (0.0, None))
            sliding = None
            if not (type(friction) is float and friction == 0.0):
                arms_along = (to_first.cross(along), to_second.cross(along))
                sliding = Row(first, second, along, arms_along, 0.0, normal=pushing, coefficient=friction)
            self._points.append((point.feature, pushing, sliding))
            overlap = -point.separation - settings.slop
            if overlap > 0.0:
                speed = overlap * (settings.push_share / seconds)
                self.pushes.append(Row(first, second, normal, arms, speed, (0.0, None)))
        for feature, pushing, sliding in self._points:
            guess, guess_along = self._kept.get(feature, (0.0, 0.0))
            pushing.impulse = guess
            if sliding is not None:
                sliding.impulse = guess_along
        self.rows = [
            *(pushing for _, pushing, _ in self._points),
            *(sliding for _, _, sliding in self._points if sliding is not None),
        ]

    @property
    def bounces(self) -> bool:
        """See `Constraint`."""
        return any(plain(pushing.speed) > 0.0 for _, pushing, _ in self._points)

    def soften(self) -> None:
        """See `Constraint`."""
        for _, pushing, _ in self._points:
            pushing.speed = pushing.speed * 0.5

    def impulses(self) -> dict[Feature, tuple[Number, Number]]:
        """What the points have given, for the next step."""
        return {
            feature: (pushing.impulse, 0.0 if sliding is None else sliding.impulse)
            for feature, pushing, sliding in self._points
        }

    def points(self) -> list[tuple[Row, Row | None]]:
        """The rows of each point, normal and tangential."""
        return [(pushing, sliding) for _, pushing, sliding in self._points]
