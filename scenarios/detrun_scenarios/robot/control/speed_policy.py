"""The speed that the robot is to have: a small policy, linear in what it looks at, behind a sigmoid.

It looks at the curvature of the course ahead, at how close the next obstacle is, at the doubt about the position, and
at how far the robot is behind its timetable.
"""

from __future__ import annotations

from typing import Any

import detrun
from detrun_scenarios.robot.body.vehicle import SPEED_MAX
from detrun_scenarios.robot.settings import Settings

CLOSE = 0.3  # m, of clearance: the scale of closeness


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
    score = (
        settings.pace
        - settings.slow_for_curvature * square / (1.0 + square)
        - settings.slow_for_closeness * closeness
        - settings.slow_for_doubt * doubt
        + settings.hurry * behind
    )
    return SPEED_MAX * detrun.sigmoid(score)
