"""Model-predictive control: every 0.3 s a trajectory over the next second, by iterative LQR.

The model is that of the vehicle without slip. What is wanted are places along the course at the wanted speed; the
weights say what it costs to be off. The trajectory is followed until the next one is there (`tracking`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.robot.body.vehicle import lag_after
from detrun_scenarios.robot.geometry.angles import near
from detrun_scenarios.robot.geometry.course import Course
from detrun_scenarios.robot.linear import ilqr
from detrun_scenarios.robot.linear.matrices import Matrix, Vector, diagonal, identity
from detrun_scenarios.robot.settings import Settings

STEP_SECONDS, STEPS = 0.125, 8
HEADING_WEIGHT, SPEED_WEIGHT = 0.3, 0.5
TURN_EFFORT = 0.2  # of that of the speed


class Wheels:
    """The motion of the base in steps, as `ilqr.Motion`: x, y, heading, speed, turn by the commanded speed and turn."""

    def __init__(self) -> None:
        self._left, self._reach = lag_after(STEP_SECONDS)
        self._rest = STEP_SECONDS - self._reach

    def step(self, state: Sequence[Any], control: Sequence[Any]) -> Vector:
        """See `ilqr.Motion`."""
        x, y, heading, speed, turn = state
        kept, reach, rest = self._left, self._reach, self._rest
        way = control[0] * rest + speed * reach
        turned = control[1] * rest + turn * reach
        middle = heading + 0.5 * turned
        return [
            x + way * detrun.cos(middle),
            y + way * detrun.sin(middle),
            heading + turned,
            speed * kept + control[0] * (1.0 - kept),
            turn * kept + control[1] * (1.0 - kept),
        ]

    def slopes(self, state: Sequence[Any], control: Sequence[Any]) -> tuple[Matrix, Matrix]:
        """See `ilqr.Motion`."""
        _, _, heading, speed, turn = state
        kept, reach, rest = self._left, self._reach, self._rest
        way = control[0] * rest + speed * reach
        middle = heading + 0.5 * (control[1] * rest + turn * reach)
        cosine, sine = detrun.cos(middle), detrun.sin(middle)
        a = identity(5)
        a[0][2], a[0][3], a[0][4] = -way * sine, reach * cosine, -0.5 * way * sine * reach
        a[1][2], a[1][3], a[1][4] = way * cosine, reach * sine, 0.5 * way * cosine * reach
        a[2][4], a[3][3], a[4][4] = reach, kept, kept
        b = [
            [rest * cosine, -0.5 * way * sine * rest],
            [rest * sine, 0.5 * way * cosine * rest],
            [0.0, rest],
            [1.0 - kept, 0.0],
            [0.0, 1.0 - kept],
        ]
        return a, b


@dataclass(frozen=True, slots=True)
class Horizon:
    """A trajectory and when it begins, by the clock of the brain."""

    begins: Any
    trajectory: ilqr.Trajectory

    def at(self, now: Any) -> tuple[Vector, Vector]:
        """State and control wanted at a time; behind the end the last of each."""
        steps = (now - self.begins) / STEP_SECONDS
        number = min(max(int(plain(steps)), 0), STEPS - 1)
        share = detrun.clip(steps - number, 0.0, 1.0)
        before, after = self.trajectory.states[number], self.trajectory.states[number + 1]
        state = [one + share * (other - one) for one, other in zip(before, after, strict=True)]
        return state, self.trajectory.controls[number]


def looked_ahead(course: Course, progress: Any, speed: Any, at: Sequence[Any], settings: Settings) -> ilqr.Trajectory:
    """The best trajectory from a state, along the course from ``progress`` on at that speed, to a stop at its end."""
    states, controls = [], []
    length = progress
    for number in range(STEPS + 1):
        left = detrun.maximum(course.length - length, 0.0)
        pace = detrun.minimum(speed, 1.5 * left)
        spot = course.at(length)
        states.append([spot.x, spot.y, near(spot.heading, at[2]), pace, spot.curvature * pace])
        if number < STEPS:
            controls.append([pace, spot.curvature * pace])
        length = length + pace * STEP_SECONDS
    path, effort = settings.path_weight, settings.effort_weight
    q = diagonal([path, path, HEADING_WEIGHT, SPEED_WEIGHT, 0.0])
    last = diagonal([settings.last_weight * path, settings.last_weight * path, HEADING_WEIGHT, SPEED_WEIGHT, 0.0])
    wanted = ilqr.Course(states, controls, q, diagonal([effort, TURN_EFFORT * effort]), last)
    return ilqr.optimized(Wheels(), at, controls, wanted)
