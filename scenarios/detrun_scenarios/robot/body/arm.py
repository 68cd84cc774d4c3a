"""`Arm`: two links in the plane of the floor, each joint with a motor whose torque is held between two ticks.

The equations are those of Spong, Hutchinson and Vidyasagar, "Robot Modeling and Control", 2006, chapter 7.3, for point
masses at the ends of the links, without gravity and with viscous friction. A step is the midpoint rule. The arm rides
on the base; what the base does is too slow for it to be felt, and the base is too heavy to feel the arm.
"""

from __future__ import annotations

import math
from typing import Any

import trio

import detrun
from detrun_scheduler.errors import UsageError

UPPER, LOWER = 0.3, 0.25  # m
ELBOW_MASS, HAND_MASS = 0.8, 0.5  # kg
FRICTION = 0.05  # N m s/rad
TORQUE_MAX = 4.0  # N m
TORQUE_LOSS = 0.4  # W for each (N m)²
FOLDED = (2.4, -2.4)  # rad: how the arm travels

_A = (ELBOW_MASS + HAND_MASS) * UPPER * UPPER + HAND_MASS * LOWER * LOWER
_B = HAND_MASS * UPPER * LOWER
_C = HAND_MASS * LOWER * LOWER


def hand_of(shoulder: Any, elbow: Any) -> tuple[Any, Any]:
    """Where the hand is, ahead of the shoulder and to its left, in metres; the elbow's angle is that between links."""
    both = shoulder + elbow
    return (
        UPPER * detrun.cos(shoulder) + LOWER * detrun.cos(both),
        UPPER * detrun.sin(shoulder) + LOWER * detrun.sin(both),
    )


def angles_of(ahead: float, left: float) -> tuple[float, float]:
    """Angles that bring the hand to a place, with the elbow to the right.

    Raises:
        UsageError: the place is out of reach.
    """
    square = ahead * ahead + left * left
    cosine = (square - UPPER * UPPER - LOWER * LOWER) / (2.0 * UPPER * LOWER)
    if abs(cosine) > 1.0:
        raise UsageError(
            f"({ahead}, {left}) is {math.sqrt(square):.3f} m away; the arm reaches from {UPPER - LOWER:.2f} to "
            f"{UPPER + LOWER:.2f} m"
        )
    elbow = math.acos(cosine)
    shoulder = math.atan2(left, ahead) - math.atan2(LOWER * math.sin(elbow), UPPER + LOWER * math.cos(elbow))
    return shoulder, elbow


class Arm:
    """See the module.

    Attributes:
        angles, speeds: of the joints, in rad and rad/s.
        torques: of the motors, in N m.
        energy: that the motors have lost, in joules.
    """

    def __init__(self) -> None:
        self.angles: tuple[Any, Any] = FOLDED
        self.speeds: tuple[Any, Any] = (0.0, 0.0)
        self.torques: tuple[Any, Any] = (0.0, 0.0)
        self.energy: Any = 0.0
        self._moved_at: Any = trio.current_time()

    def now(self) -> tuple[Any, Any]:
        """The angles at this moment."""
        gone = trio.current_time() - self._moved_at
        if gone == 0.0:
            return self.angles
        self._moved_at = self._moved_at + gone
        (shoulder, elbow), (speed, bend) = self.angles, self.speeds
        first = _accelerations(elbow, speed, bend, self.torques)
        half = gone * 0.5
        middle = (speed + half * first[0], bend + half * first[1])
        second = _accelerations(elbow + half * bend, *middle, self.torques)
        self.angles = (shoulder + gone * middle[0], elbow + gone * middle[1])
        self.speeds = (speed + gone * second[0], bend + gone * second[1])
        squares = self.torques[0] * self.torques[0] + self.torques[1] * self.torques[1]
        self.energy = self.energy + TORQUE_LOSS * gone * squares
        return self.angles

    def drive(self, shoulder: Any, elbow: Any) -> None:
        """Torques from now on, each within `TORQUE_MAX`."""
        self.now()
        self.torques = (detrun.clip(shoulder, -TORQUE_MAX, TORQUE_MAX), detrun.clip(elbow, -TORQUE_MAX, TORQUE_MAX))

    def kinetic_energy(self) -> Any:
        """In joules."""
        speed, bend = self.speeds
        coupled = _B * detrun.cos(self.angles[1])
        return (0.5 * _A + coupled) * speed * speed + (_C + coupled) * speed * bend + 0.5 * _C * bend * bend


def _accelerations(elbow: Any, speed: Any, bend: Any, torques: tuple[Any, Any]) -> tuple[Any, Any]:
    cosine, sine = detrun.cos(elbow), detrun.sin(elbow)
    m_11, m_12 = _A + 2.0 * _B * cosine, _C + _B * cosine
    swing = _B * sine
    f_1 = torques[0] - FRICTION * speed + swing * (2.0 * speed * bend + bend * bend)
    f_2 = torques[1] - FRICTION * bend - swing * speed * speed
    determinant = m_11 * _C - m_12 * m_12
    return (_C * f_1 - m_12 * f_2) / determinant, (m_11 * f_2 - m_12 * f_1) / determinant
