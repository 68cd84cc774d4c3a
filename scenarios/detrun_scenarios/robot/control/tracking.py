"""Feedback around a trajectory: what the robot is off, in its own frame, times the gains of a linear regulator.

Along the course the robot is off by a distance and a speed; across it, by a distance, a heading and a turn. At a steady
speed the two do not touch each other, so each has a regulator of its own, whose gains come from weights by the Riccati
equation. Commands reach the wheels as a first-order lag, which is part of the model.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import detrun
from detrun_scenarios.robot.body.vehicle import SPEED_MAX, TURN_MAX, lag_after
from detrun_scenarios.robot.geometry.angles import wrapped
from detrun_scenarios.robot.linear.matrices import Matrix, diagonal, inner
from detrun_scenarios.robot.linear.riccati import regulator
from detrun_scenarios.robot.settings import Settings

CONTROL_HZ = 20.0
NOMINAL_SPEED = 0.5  # m/s, at which the gains are made


def along_model(seconds: float) -> tuple[Matrix, Matrix]:
    """Distance and speed ahead of the trajectory, by the speed that is commanded beyond it."""
    left, reach = lag_after(seconds)
    return [[1.0, reach], [0.0, left]], [[seconds - reach], [1.0 - left]]


def across_model(seconds: float) -> tuple[Matrix, Matrix]:
    """Distance to the left, heading and turn beyond the trajectory, by the turn that is commanded beyond it.

    The distance is that of `NOMINAL_SPEED` along the middle heading, as everywhere in the model.
    """
    left, reach = lag_after(seconds)
    way = NOMINAL_SPEED * seconds
    a = [[1.0, way, 0.5 * way * reach], [0.0, 1.0, reach], [0.0, 0.0, left]]
    return a, [[0.5 * way * (seconds - reach)], [seconds - reach], [1.0 - left]]


class Gains(NamedTuple):
    """Of both regulators: one row each."""

    along: list[Any]
    across: list[Any]


def gains_of(settings: Settings) -> Gains:
    """The gains that the weights stand for."""
    seconds = 1.0 / CONTROL_HZ
    along = regulator(*along_model(seconds), diagonal([settings.along_weight, 0.1]), [[settings.speed_cost]])
    across = regulator(
        *across_model(seconds), diagonal([settings.cross_weight, settings.heading_weight, 0.01]), [[settings.turn_cost]]
    )
    return Gains(along.gains[0], across.gains[0])


def command_for(gains: Gains, at: list[Any], wanted: list[Any], control: list[Any]) -> tuple[Any, Any]:
    """Speed and turn to be commanded, within the limits.

    Args:
        at, wanted: x, y, heading, speed, turn: as they are, and of the trajectory.
        control: of the trajectory: speed and turn.
    """
    cosine, sine = detrun.cos(wanted[2]), detrun.sin(wanted[2])
    across, up = at[0] - wanted[0], at[1] - wanted[1]
    ahead, left = cosine * across + sine * up, cosine * up - sine * across
    speed = control[0] - inner(gains.along, [ahead, at[3] - wanted[3]])
    turn = control[1] - inner(gains.across, [left, wrapped(at[2] - wanted[2]), at[4] - wanted[4]])
    return detrun.clip(speed, 0.0, SPEED_MAX), detrun.clip(turn, -TURN_MAX, TURN_MAX)
