"""What a run costs, measured from outside while it goes.

- ``tracking_error``: mean squared distance, in square metres, of the base from where its timetable has it on a drive.
- ``estimation_error``: mean squared distance, in square metres, of what the filter says of now from the truth.
- ``reach_error``: squared distance of the hand from its goal, added up over the time in which the arm reaches, in m² s.
  A mean would have more of the good end the longer a reach takes.
- ``energy``: joules that the motors of base and arm have lost.
- ``deadline_misses``: share of the commands that were carried out later than their deadline.
- ``blind_distance``: metres that the base has driven after it had no command for `BLIND_SECONDS`.
- ``collisions``: share of the time in which the hull is nearer to an obstacle than `KEPT_AWAY`.
"""

from __future__ import annotations

from typing import Any

import trio

from detrun import relaxed
from detrun_scenarios.frame.measured import mean
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.robot.body.arm import Arm, hand_of
from detrun_scenarios.robot.body.base import Base
from detrun_scenarios.robot.body.vehicle import Vehicle
from detrun_scenarios.robot.brain import Brain
from detrun_scenarios.robot.geometry.place import Place
from detrun_scenarios.robot.invariants import Monitor
from detrun_scenarios.robot.planning.route import HULL

DEADLINE_SECONDS = 0.012
BLIND_SECONDS = 0.1  # without a command, from which on a robot is blind
KEPT_AWAY = 0.06  # m, between hull and obstacles


class Meter:
    """Of one robot; see the module."""

    def __init__(self, vehicle: Vehicle, arm: Arm, place: Place) -> None:
        self._vehicle, self._arm, self._place = vehicle, arm, place
        self._tracking: list[Any] = []
        self._estimation: list[Any] = []
        self._reaching: Any = 0.0
        self._closeness: list[Any] = []
        self._blind: Any = 0.0
        self._looked_at = 0.0

    def look(self, brain: Brain, monitor: Monitor) -> None:
        """Take one sample of everything."""
        truth, now = self._vehicle.now(), plain(trio.current_time())
        gone, self._looked_at = now - self._looked_at, now
        if now - monitor.fed_at > BLIND_SECONDS:
            self._blind = self._blind + truth.speed * gone
        goal = brain.goal
        if goal.course is not None and goal.is_aligned:
            spot = goal.course.at(goal.timetable(now - goal.began_at))
            self._tracking.append(_square(truth.x - spot.x, truth.y - spot.y))
        elif goal.number and goal.course is None:
            hand, wanted = hand_of(*self._arm.now()), hand_of(*goal.arm)
            self._reaching = self._reaching + gone * _square(hand[0] - wanted[0], hand[1] - wanted[1])
        belief = brain.believed().mean
        self._estimation.append(_square(truth.x - belief[0], truth.y - belief[1]))
        self._closeness.append(HULL + KEPT_AWAY - self._place.clearance(truth.x, truth.y))

    def losses(self, base: Base) -> dict[str, Any]:
        """All of them."""
        late = [relaxed.threshold(age, DEADLINE_SECONDS) for age in base.actuators.ages]
        return {
            "tracking_error": mean(self._tracking),
            "estimation_error": mean(self._estimation),
            "reach_error": self._reaching,
            "energy": self._vehicle.energy + self._arm.energy,
            "deadline_misses": mean(late),
            "blind_distance": self._blind,
            "collisions": mean([relaxed.threshold(one, 0.0) for one in self._closeness]),
        }


def _square(across: Any, up: Any) -> Any:
    return across * across + up * up
