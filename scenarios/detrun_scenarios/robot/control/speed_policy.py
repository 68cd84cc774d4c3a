"""The speed that the robot is to have: a small policy behind a sigmoid.

It looks at the curvature of the course ahead, at how close the next obstacle is, at the doubt about the position, and
at how far the robot is behind its timetable. Its score has a linear part, whose weights have names, and that of a
network (`network`).
"""

from __future__ import annotations

from typing import Any

import detrun
from detrun_scenarios.robot.body.vehicle import SPEED_MAX
from detrun_scenarios.robot.settings import Settings

CLOSE = 0.3  # m, of clearance: the scale of closeness
MUCH_DOUBT, MUCH_LATENESS = 0.1, 0.2  # m: what counts as 1 for the network, so that its weights are of one size


def wanted_speed(settings: Settings, curvature: Any, clearance: Any, doubt: Any, behind: Any) -> Any:
    """In m/s.

    Args:
        curvature: of the course ahead, in radians a metre.
        clearance: of the robot's middle, in metres.
        doubt: standard deviation of the position, in metres.
        behind: the timetable, in metres.
    """
    closeness = detrun.exp(-clearance / CLOSE)
    square = curvature * curvature
    bend = square / (1.0 + square)
    score = (
        settings.pace
        - settings.slow_for_curvature * bend
        - settings.slow_for_closeness * closeness
        - settings.slow_for_doubt * doubt
        + settings.hurry * behind
        + settings.network.score([bend, closeness, doubt / MUCH_DOUBT, behind / MUCH_LATENESS, 1.0])
    )
    return SPEED_MAX * detrun.sigmoid(score)
