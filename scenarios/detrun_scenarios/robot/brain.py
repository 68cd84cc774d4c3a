"""`Brain`: the program of the node that thinks: filter, mission, planner, control.

The filter is a thread: measurements come to it through a queue, and it leaves the pose on the `PoseBoard`. All else are
tasks. The mission is a list of goals, which follow from a symbolic plan; each has a number, and commands carry it.
"""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

import detrun
from detrun_scenarios.frame.news import News
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.robot.body.arm import FOLDED, angles_of
from detrun_scenarios.robot.body.vehicle import TURN_MAX
from detrun_scenarios.robot.control import tracking
from detrun_scenarios.robot.control.horizon import Horizon, looked_ahead
from detrun_scenarios.robot.control.speed_policy import wanted_speed
from detrun_scenarios.robot.estimation.belief import Belief
from detrun_scenarios.robot.estimation.clock_offset import ClockOffset
from detrun_scenarios.robot.estimation.pose import Pose, pose_of
from detrun_scenarios.robot.geometry.angles import wrapped
from detrun_scenarios.robot.geometry.course import Course
from detrun_scenarios.robot.geometry.place import Place
from detrun_scenarios.robot.invariants import Monitor
from detrun_scenarios.robot.linear.matrices import diagonal
from detrun_scenarios.robot.messages import Command, GoalBegins, Measurement, TimeAnswer, TimeQuestion
from detrun_scenarios.robot.parts import Parts
from detrun_scenarios.robot.planning.route import HULL, SPACING, routed
from detrun_scenarios.robot.planning.symbolic import Action
from detrun_scenarios.robot.settings import Settings

BASE = "base"
APPLY_SECONDS = 0.0004  # of the filter's thread, for each measurement that is applied
MEASUREMENT_SECONDS = 0.01  # that control waits for one, since the pose is about to be as young as can be then
CONTROL_SECONDS, HORIZON_SECONDS = 0.001, 0.012
PLANNING_SECONDS, CELL_SECONDS = 0.01, 0.00002  # of a path, and more for each cell that is looked at
LOOK_SECONDS, HORIZON_PERIOD = 0.05, 0.3  # s: a look for a drive that goes on, and from one trajectory to the next
LOOKED_AHEAD = 0.5  # m, over which a course's curvature matters for the speed
FIRST_QUESTIONS, QUESTION_SECONDS = 3, 0.5
TIMETABLE_SPEED = 0.5  # m/s
ALIGNED, ALIGNING_GAIN = 0.25, 2.5  # rad, and 1/s
ARRIVED = 0.08  # m, from the end of a course
REACHED = 0.06  # rad, of both joints
HAND_PLACES = {"pick": (0.42, 0.12), "put": (0.40, -0.15)}  # m, ahead and to the left of the shoulder


@dataclass(slots=True)
class Goal:
    """What the robot is at.

    Attributes:
        number: from 1; 0 before the first.
        course: of a drive.
        is_aligned: the robot looks along the course, and its timetable has begun.
        begun: the timetable did, by the clock of the brain.
        began_at: the same in true time, for those who measure.
        progress: along the course, in metres.
        arm: wanted angles of the joints.
    """

    number: int = 0
    action: Action | None = None
    course: Course | None = None
    begun: Any = 0.0
    began_at: float = 0.0
    progress: Any = 0.0
    is_aligned: bool = False
    arm: tuple[float, float] = FOLDED
    horizon: Horizon | None = None
    done: trio.Event = field(default_factory=trio.Event)

    def timetable(self, gone: Any) -> Any:
        """Where along the course the robot should be so many seconds after the timetable has begun."""
        assert self.course is not None
        return detrun.clip(TIMETABLE_SPEED * gone, 0.0, self.course.length)


class Brain:
    """See the module.

    Attributes:
        goal: the present one.
        fusion, board: of the process that runs.
    """

    def __init__(
        self,
        first: Sequence[float],
        mission: Sequence[Action],
        place: Place,
        settings: Settings,
        monitor: Monitor,
        parts: Parts,
    ) -> None:
        node = detrun.this_node()
        self._node, self._mission, self._place, self._settings = node, mission, place, settings
        self._monitor = monitor
        monitor.brain_clock = node.clock
        now = node.clock.wall_since_start()
        belief = Belief([*first, 0.0, 0.0, 0.0], diagonal([0.05**2, 0.05**2, 0.05**2, 0.1**2, 0.1**2, 0.03**2]))
        self.fusion = parts.fusion(belief, now, place, settings, monitor)
        self.board = parts.board(pose_of(0, now, belief), monitor)
        self.goal = Goal()
        self._offset = ClockOffset()
        self._joints: tuple[Any, ...] = FOLDED
        self._queue: queue.SimpleQueue[tuple[Measurement, Any] | None] = queue.SimpleQueue()
        self._gains = tracking.gains_of(settings)
        self._commands = 0
        self._news = News()  # of measurements

    async def run(self) -> None:
        """All tasks and the thread, until the node stops."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, name="listen")
            nursery.start_soon(self._ask_time, name="ask_time")
            while self._offset.count < FIRST_QUESTIONS:
                await trio.sleep(0.005)
            nursery.start_soon(self._run_filter, name="filter")
            nursery.start_soon(self.control, name="control")
            nursery.start_soon(self._look_ahead, name="look_ahead")
            nursery.start_soon(self._carry_out, name="mission")

    # Messages.

    async def _listen(self) -> None:
        while True:
            message = await self._node.receive()
            if isinstance(message, TimeAnswer):
                self._offset.hear(message, self._node.clock.wall_since_start())
            elif self._offset.count < FIRST_QUESTIONS:
                continue  # its stamp cannot be read yet
            elif message.kind == "joints":
                self._joints = message.values
            else:
                self._queue.put((message, self._offset.ahead()))
                self._news.tell()

    async def _ask_time(self) -> None:
        while True:
            self._node.send(BASE, TimeQuestion(self._node.clock.wall_since_start()))
            await self._node.clock.sleep(0.02 if self._offset.count < FIRST_QUESTIONS else QUESTION_SECONDS)

    # The filter.

    def believed(self) -> Belief:
        """Where the robot is now, if it goes on as it was when the youngest measurement was taken."""
        newest, settings = self.fusion.newest, self._settings
        gone = self._node.clock.wall_since_start() - newest.stamp
        return newest.belief.moved(gone, settings.speed_wander, settings.turn_wander)

    async def _run_filter(self) -> None:
        await trio.to_thread.run_sync(self._filter, abandon_on_cancel=True)

    def _filter(self) -> None:
        count = 0
        while (found := self._queue.get()) is not None:
            measurement, offset = found
            applied = self.fusion.fuse(measurement, offset)
            if applied:
                count += 1
                newest = self.fusion.newest
                self.board.publish(pose_of(count, newest.stamp, newest.belief))
            time.sleep(APPLY_SECONDS * max(applied, 1))

    # The mission.

    async def _carry_out(self) -> None:
        for number, action in enumerate(self._mission, 1):
            goal = Goal(number, action, arm=self.goal.arm)
            if action.kind == "drive":
                pose = await self.board.read()
                start, end = (plain(pose.x), plain(pose.y)), self._place.sites[action.site][:2]
                goal.course, expanded = routed(self._place, start, end)
                self._monitor.path_is_planned(_least_clearance(self._place, goal.course), HULL)
                await self._node.clock.sleep(PLANNING_SECONDS + CELL_SECONDS * expanded)
                goal.arm = FOLDED
            else:
                goal.arm = angles_of(*HAND_PLACES[action.name.partition(" ")[0]])
            self.goal, self._commands = goal, 0
            self._node.send(BASE, GoalBegins(number))
            await goal.done.wait()

    # Control.

    async def control(self) -> None:
        """Send a command in each period, for ever."""
        while True:
            await self._node.clock.sleep(1.0 / tracking.CONTROL_HZ - MEASUREMENT_SECONDS)
            with trio.move_on_after(MEASUREMENT_SECONDS):
                await self._news.wait()
            pose = await self.board.read()
            goal = self.goal
            speed, turn = self._wanted(goal, pose) if goal.course is not None else (0.0, 0.0)
            if goal.course is None and goal.action is not None and self._has_reached(goal):
                goal.done.set()
            issued = self._node.clock.wall_since_start() + self._offset.ahead()
            await self._node.clock.sleep(CONTROL_SECONDS)
            if goal.number and goal is self.goal:
                self._commands += 1
                self._node.send(BASE, Command(goal.number, self._commands, issued, speed, turn, goal.arm))

    def _has_reached(self, goal: Goal) -> bool:
        off = [abs(plain(one) - wanted) for one, wanted in zip(self._joints, goal.arm, strict=True)]
        return max(off) < REACHED

    def _wanted(self, goal: Goal, pose: Pose) -> tuple[Any, Any]:
        """Speed and turn to be commanded in a drive."""
        assert goal.course is not None
        now = self._node.clock.wall_since_start()
        at = self._expected(pose, now)
        if not goal.is_aligned:
            off = wrapped(goal.course.at(0.0).heading - at[2])
            if abs(off) > ALIGNED:
                return 0.0, detrun.clip(ALIGNING_GAIN * off, -TURN_MAX, TURN_MAX)
            goal.is_aligned = True
            goal.begun, goal.began_at = now, plain(trio.current_time())
        goal.progress = goal.course.progress(at[0], at[1], plain(goal.progress))
        if plain(goal.course.length - goal.progress) < ARRIVED:
            goal.done.set()
            return 0.0, 0.0
        if goal.horizon is None:
            return 0.0, 0.0
        wanted, control = goal.horizon.at(now)
        return tracking.command_for(self._gains, at, wanted, control)

    async def _look_ahead(self) -> None:
        while True:
            await self._node.clock.sleep(LOOK_SECONDS)
            goal = self.goal
            if goal.course is None or not goal.is_aligned:
                continue
            pose = await self.board.read()
            now = self._node.clock.wall_since_start()
            at = self._expected(pose, now)
            curvature = goal.course.curvature(goal.progress, LOOKED_AHEAD)
            clearance = self._place.clearance(at[0], at[1])
            behind = goal.timetable(now - goal.begun) - goal.progress
            speed = wanted_speed(self._settings, curvature, clearance, pose.doubt, behind)
            trajectory = looked_ahead(goal.course, goal.progress, speed, at, self._settings)
            await self._node.clock.sleep(HORIZON_SECONDS)
            goal.horizon = Horizon(now, trajectory)
            await self._node.clock.sleep(HORIZON_PERIOD - LOOK_SECONDS - HORIZON_SECONDS)

    def _expected(self, pose: Pose, now: Any) -> list[Any]:
        """Where the robot is now, if it goes on as it was: x, y, heading, speed, turn."""
        gone = detrun.minimum(now - pose.stamp, 0.3)
        middle = pose.heading + 0.5 * gone * pose.turn
        way = gone * pose.speed
        x, y = pose.x + way * detrun.cos(middle), pose.y + way * detrun.sin(middle)
        return [x, y, pose.heading + gone * pose.turn, pose.speed, pose.turn]


def _least_clearance(place: Place, course: Course) -> float:
    count = math.ceil(course.length / SPACING)
    spots = [course.at(course.length * number / count) for number in range(count + 1)]
    return min(plain(place.clearance(spot.x, spot.y)) for spot in spots)
