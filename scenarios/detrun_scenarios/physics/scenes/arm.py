"""An arm of three links on a table that reaches for a place, each joint driven by a controller of its own.

The controllers are tasks that wake at their own drawn times, read their joint, think, and set a torque that is held
until the next one: what one joint does is a disturbance to the others, and it matters who is late. The arm itself is
moved on when it is read or pushed. Angles are those of the links to the table, so that the equations are short: link
i has the moment ``sum_j a_ij cos(θi - θj) θj'' + a_ij sin(θi - θj) θj'²`` with ``a_ij`` the lengths times the mass
beyond both joints (Spong, Hutchinson and Vidyasagar, "Robot Modeling and Control", 2006, chapter 7).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import trio

import detrun
from detrun_scenarios.physics.exact.flow import Flow
from detrun_scenarios.physics.exact.legs import follow
from detrun_scenarios.physics.exact.runge_kutta import Numbers
from detrun_scenarios.physics.geometry.vectors import Vector

LENGTHS = (0.4, 0.3, 0.2)  # m
MASSES = (1.0, 0.7, 0.4)  # kg, at the end of each link
GOAL = (0.6, 1.2, 0.9)  # angles of the links at the place to be reached
PERIOD_SECONDS = (0.02, 0.03)  # between a controller's readings, drawn
THINKING_SECONDS = 0.002
REACH_SECONDS = 1.2
EFFORT_WEIGHT = 0.01  # m² s for each (N m)² s
JOINTS = ("shoulder", "elbow", "wrist")
TOLERANCE = 1e-8


class Posture(NamedTuple):
    """Angles of the links and their velocities; how far the hand was from its goal, squared and added up over time."""

    a: Any
    b: Any
    c: Any
    da: Any
    db: Any
    dc: Any
    off: Any


class Torques(NamedTuple):
    """Of the motors, in N m."""

    shoulder: Any
    elbow: Any
    wrist: Any


def _weight(first: int, second: int) -> float:
    return LENGTHS[first] * LENGTHS[second] * sum(MASSES[max(first, second) :])


_AA, _BB, _CC = (_weight(at, at) for at in range(3))
_AB, _AC, _BC = _weight(0, 1), _weight(0, 2), _weight(1, 2)


def hand_of(a: Any, b: Any, c: Any) -> Vector:
    """Where the end of the last link is."""
    return Vector(
        LENGTHS[0] * detrun.cos(a) + LENGTHS[1] * detrun.cos(b) + LENGTHS[2] * detrun.cos(c),
        LENGTHS[0] * detrun.sin(a) + LENGTHS[1] * detrun.sin(b) + LENGTHS[2] * detrun.sin(c),
    )


PLACE = hand_of(*GOAL)


def slope(at: Posture, torques: Torques) -> Numbers:
    ab, ac, bc = at.a - at.b, at.a - at.c, at.b - at.c
    m_ab, m_ac, m_bc = _AB * detrun.cos(ab), _AC * detrun.cos(ac), _BC * detrun.cos(bc)
    s_ab, s_ac, s_bc = _AB * detrun.sin(ab), _AC * detrun.sin(ac), _BC * detrun.sin(bc)
    aa, bb, cc = at.da * at.da, at.db * at.db, at.dc * at.dc
    f_a = torques.shoulder - torques.elbow - s_ab * bb - s_ac * cc
    f_b = torques.elbow - torques.wrist + s_ab * aa - s_bc * cc
    f_c = torques.wrist + s_ac * aa + s_bc * bb
    # Gauss's elimination of a symmetric matrix that is positive: no pivots.
    r_b, r_c = m_ab / _AA, m_ac / _AA
    n_bb, n_bc, n_cc = _BB - r_b * m_ab, m_bc - r_b * m_ac, _CC - r_c * m_ac
    g_b, g_c = f_b - r_b * f_a, f_c - r_c * f_a
    r = n_bc / n_bb
    dd_c = (g_c - r * g_b) / (n_cc - r * n_bc)
    dd_b = (g_b - n_bc * dd_c) / n_bb
    dd_a = (f_a - m_ab * dd_b - m_ac * dd_c) / _AA
    away = hand_of(at.a, at.b, at.c) - PLACE
    return (at.da, at.db, at.dc, dd_a, dd_b, dd_c, away.dot(away))


def kinetic_energy(at: Posture) -> Any:
    """In joules: what the motors have put in, as nothing rubs."""
    moving = _AA * at.da * at.da + _BB * at.db * at.db + _CC * at.dc * at.dc
    coupled = (
        _AB * detrun.cos(at.a - at.b) * at.da * at.db
        + _AC * detrun.cos(at.a - at.c) * at.da * at.dc
        + _BC * detrun.cos(at.b - at.c) * at.db * at.dc
    )
    return 0.5 * moving + coupled


class Arm:
    """The arm, at the last time at which it was looked at."""

    def __init__(self) -> None:
        self.posture = Posture(*[0.0] * 7)
        self.torques = Torques(0.0, 0.0, 0.0)
        self.effort: Any = 0.0
        self.moved_at: Any = trio.current_time()

    def catch_up(self) -> Posture:
        """Move on to now."""
        gone = trio.current_time() - self.moved_at
        self.moved_at = self.moved_at + gone
        self.effort = self.effort + gone * sum(one * one for one in self.torques)
        self.posture = follow(Flow(slope, self.torques), self.posture, duration=gone, tolerance=TOLERANCE).state
        return self.posture

    def drive(self, joint: int, torque: Any) -> None:
        """From now on."""
        self.catch_up()
        self.torques = self.torques._replace(**{JOINTS[joint]: torque})


def _joint(posture: Posture, joint: int) -> tuple[Any, Any]:
    """The angle between two links beyond the wanted one, and its velocity."""
    angle, speed = posture[joint] - GOAL[joint], posture[joint + 3]
    if joint:
        angle, speed = angle - (posture[joint - 1] - GOAL[joint - 1]), speed - posture[joint + 2]
    return angle, speed


async def _control(arm: Arm, joint: int, gain: Any, damping: Any) -> None:
    while True:
        await trio.sleep(detrun.uniform(*PERIOD_SECONDS))
        angle, speed = _joint(arm.catch_up(), joint)
        await trio.sleep(THINKING_SECONDS)
        arm.drive(joint, -gain * angle - damping * speed)


async def reach(params: Mapping[str, Any], seconds: float = REACH_SECONDS) -> Any:
    """How far the hand was from its goal, squared and over time, and what the motors did for it: in m² s."""
    arm = Arm()
    async with trio.open_nursery() as controllers:
        for joint, name in enumerate(JOINTS):
            controllers.start_soon(_control, arm, joint, params[f"{name}_gain"], params[f"{name}_damping"], name=name)
        await trio.sleep(seconds)
        posture = arm.catch_up()
        controllers.cancel_scope.cancel()
    return posture.off + EFFORT_WEIGHT * arm.effort
