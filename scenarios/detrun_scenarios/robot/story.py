"""Sixteen seconds of a robot that drives through the room: what the picture of the scenario shows.

It is looked at from outside at every look of the workload. On the way commands are cut off for 0.7 s, and later the
camera's messages are held back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import trio

from detrun.world import Clog, FaultPlan, Partition
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.robot.body.sensors import BRAIN
from detrun_scenarios.robot.brain import BASE
from detrun_scenarios.robot.estimation.belief import X, Y
from detrun_scenarios.robot.geometry.course import Course
from detrun_scenarios.robot.geometry.place import WORKSHOP, Place
from detrun_scenarios.robot.settings import settings_of
from detrun_scenarios.robot.workload import Robot, Workload, work

WORKLOAD = Workload(seconds=16.5, skips=1)
CUT = (5.0, 0.7)  # s: when commands are cut off, and for how long
HELD_BACK = (9.5, 0.6)  # s: when measurements are held back, and for how long
FAULTS = FaultPlan(
    (
        Partition(groups=((BRAIN,), (BASE,)), one_way=True, at=CUT[0], lasts_seconds=CUT[1]),
        Clog(source=BASE, destination=BRAIN, at=HELD_BACK[0], lasts_seconds=HELD_BACK[1]),
    )
)


class Look(NamedTuple):
    """One sample: seconds, metres; the covariance of x and y; seconds since the last command and picture.

    Attributes:
        age: of the oldest command that was carried out since the sample before; None for none.
        is_stopped: the watchdog has stopped the robot.
    """

    time: float
    truth: tuple[float, float]
    belief: tuple[float, float]
    covariance: tuple[float, float, float]
    age: float | None
    picture_age: float
    is_stopped: bool


@dataclass(slots=True)
class Story:
    """See the module. `tell` is its program."""

    place: Place = WORKSHOP
    looks: list[Look] = field(default_factory=list)
    course: Course | None = None
    _ages: int = 0

    async def tell(self, params: Mapping[str, Any]) -> None:
        """Let it happen. The program, for `detrun.record`."""
        await work(WORKLOAD, settings_of(params), FAULTS, watch=self.look)

    def look(self, robot: Robot) -> None:
        """One sample."""
        if robot.base is None or robot.brain is None:
            return
        now, truth, belief = plain(trio.current_time()), robot.vehicle.now(), robot.brain.believed()
        self.course = robot.brain.goal.course or self.course
        mean, covariance = belief.mean, belief.covariance
        ages = [plain(one) for one in robot.base.actuators.ages[self._ages :]]
        self._ages += len(ages)
        self.looks.append(
            Look(
                now,
                (plain(truth.x), plain(truth.y)),
                (plain(mean[X]), plain(mean[Y])),
                (plain(covariance[X][X]), plain(covariance[X][Y]), plain(covariance[Y][Y])),
                max(ages) if ages else None,
                now - robot.monitor.pictured_at,
                robot.base.actuators.is_stopped,
            )
        )
