"""What is always true, checked by a `Monitor` that sees both nodes, the body and the time, which no part of it can.

- *measurements count for when they were taken*: the filter's stamp is within `CLOCK_BOUND` of the moment;
- *an angle is within half a turn*: no innovation of an angle says that the robot has turned round and round;
- *the filter is consistent*: its error, weighed by its own covariance (NEES), stays below `NEES_MAX`;
- *a pose is read whole*: what a reader sees has been published as it is, which its seal says;
- *no command beyond the limits* is carried out;
- *commands belong to the present goal*: the actuators do nothing for a goal that the base knows to be over;
- *the watchdog stops the robot*: without commands it is commanded to stand within the time-out and `STOP_BOUND`;
- *planned paths are free*: every point of a path is farther from obstacles than the hull.

What sensors, filter and watchdog did is noted when it happens. A failure says so, for by then the node that
fails knows it from a message or not at all.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import trio

from detrun.checkers.transactions import Place, noted_place
from detrun.world.time.clocks import NodeClock
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.frame.requirement import about, require
from detrun_scenarios.robot.body.vehicle import SPEED_MAX, TURN_MAX, Truth, Vehicle
from detrun_scenarios.robot.estimation.pose import Pose, seal_of
from detrun_scenarios.robot.geometry.angles import wrapped
from detrun_scenarios.robot.linear.matrices import solved
from detrun_scenarios.robot.messages import Command, Measurement

if TYPE_CHECKING:
    from detrun_scenarios.robot.estimation.belief import Belief

STAMPS: Final = "measurements count for when they were taken"
ANGLES: Final = "an angle is within half a turn"
CONSISTENT: Final = "the filter is consistent"
WHOLE: Final = "a pose is read whole"
LIMITS: Final = "no command beyond the limits"
PRESENT_GOAL: Final = "commands belong to the present goal"
WATCHED: Final = "the watchdog stops the robot"
FREE_PATHS: Final = "planned paths are free"

CLOCK_BOUND = 0.010  # s, between a stamp of the filter and the truth
NEES_MAX = 40.0  # of three numbers, whose mean is 3
STOP_BOUND = 0.040  # s: a period of the watchdog, a job of the processor, and its clock


class Taken(NamedTuple):
    """When a measurement was taken, by the clock of the brain and in true time, the truth then, and by what."""

    moment: float
    truth: Truth
    at: float
    place: Place | None


class Monitor:
    """Of one robot.

    Attributes:
        vehicle: whose commands are looked at.
        brain_clock: in which the filter counts.
        goal: the latest that the base has heard of.
        fed_at: when a command was last carried out, in true time.
        pictured_at: when the youngest picture was taken that the filter has fused, in true time.
    """

    def __init__(self, vehicle: Vehicle, watchdog_timeout: Any) -> None:
        self.vehicle = vehicle
        self.brain_clock: NodeClock | None = None
        self.goal = 0
        self._timeout = plain(watchdog_timeout)
        self._taken: dict[int, Taken] = {}
        self.fed_at = self.pictured_at = plain(trio.current_time())
        self._gives_time: Place | None = None
        self._watchdog_waits: Place | None = None

    # The filter.

    def taken(self, measurement: Measurement, truth: Truth) -> None:
        """A sensor has taken a measurement, now; called by what the sensor takes it with."""
        assert self.brain_clock is not None
        moment, now = plain(self.brain_clock.wall_since_start()), plain(trio.current_time())
        place = noted_place(sys._getframe(2), is_done_here=True)
        self._taken[measurement.number] = Taken(moment, truth, now, place)

    def time_is_given(self) -> None:
        """The filter has decided for when the next measurement counts; called by what decides."""
        self._gives_time = noted_place(sys._getframe(1))

    def fused(self, measurement: Measurement, stamp: Any) -> None:
        """The filter takes it to have been taken at ``stamp``, by the clock of the brain."""
        taken = self._taken[measurement.number]
        off = abs(plain(stamp) - taken.moment)
        places = (("takes it", taken.place), ("gives the time", self._gives_time))
        require(
            about(off < CLOCK_BOUND, *places),
            STAMPS,
            f"{measurement.kind} {measurement.number} is fused {off:.4f} s beside its time",
        )

    def angle_is_off(self, measurement: Measurement, angle: Any) -> None:
        """An innovation of the filter."""
        here = noted_place(sys._getframe(1), is_done_here=True)
        places = (("sees it", self._taken[measurement.number].place), ("subtracts", here))
        is_within = abs(plain(angle)) <= math.pi + 1e-9
        require(about(is_within, *places), ANGLES, f"an innovation of {plain(angle):.3f} rad")

    def believes(self, measurement: Measurement, belief: Belief) -> None:
        """The filter's belief with this measurement, at its time."""
        if measurement.kind != "camera":
            return
        taken = self._taken[measurement.number]
        self.pictured_at = max(self.pictured_at, taken.at)
        off = [plain(one) - plain(other) for one, other in zip(belief.mean[:3], taken.truth[:3], strict=True)]
        off[2] = wrapped(off[2])
        covariance = [[plain(entry) for entry in row[:3]] for row in belief.covariance[:3]]
        weighed = solved(covariance, [[one] for one in off])
        nees = sum(one * row[0] for one, row in zip(off, weighed, strict=True))
        require(nees < NEES_MAX, CONSISTENT, f"an error of {off} has a NEES of {nees:.1f}")

    def read(self, pose: Pose) -> None:
        """A pose has been read."""
        require(plain(pose.seal) == seal_of(pose[:-1]), WHOLE, f"{pose} was never published")

    # The actuators.

    def goal_is_known(self, goal: int) -> None:
        """The base has heard of a goal."""
        self.goal = max(self.goal, goal)

    def carried_out(self, command: Command) -> None:
        """The actuators do what a command says, now."""
        self.fed_at = plain(trio.current_time())
        self.goal_is_known(command.goal)
        is_present = about(command.goal == self.goal, ("takes it for new", noted_place(sys._getframe(1))))
        require(is_present, PRESENT_GOAL, f"{command} is carried out for goal {self.goal}")
        within = abs(plain(command.speed)) <= SPEED_MAX + 1e-9 and abs(plain(command.turn)) <= TURN_MAX + 1e-9
        require(within, LIMITS, f"{command} is beyond {SPEED_MAX} m/s or {TURN_MAX} rad/s")

    # The watchdog.

    def watchdog_waits(self) -> None:
        """It is about to ask for the processor; called by what asks."""
        self._watchdog_waits = noted_place(sys._getframe(1))

    def look(self) -> None:
        """At the commands that are in force, now."""
        waited = plain(trio.current_time()) - self.fed_at
        stands = all(plain(one) == 0.0 for one in self.vehicle.commanded)
        is_in_time = stands or waited < self._timeout * 1.01 + STOP_BOUND
        require(
            about(is_in_time, ("the watchdog waits", self._watchdog_waits)),
            WATCHED,
            f"{waited:.3f} s after the last command the robot still moves",
        )

    # The plan.

    def path_is_planned(self, clearance: float, hull: float) -> None:
        """The least clearance of a path."""
        require(clearance > hull, FREE_PATHS, f"a path comes within {clearance:.3f} m of an obstacle")
