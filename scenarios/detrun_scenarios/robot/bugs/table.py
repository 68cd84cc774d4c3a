"""The planted bugs by name, each as the parts of a robot that has it."""

from __future__ import annotations

from collections.abc import Mapping

from detrun_scenarios.robot.bugs.angle_not_wrapped import AngleNotWrapped
from detrun_scenarios.robot.bugs.half_written_pose import HalfWrittenPose
from detrun_scenarios.robot.bugs.previous_goal import PreviousGoal
from detrun_scenarios.robot.bugs.stale_as_new import StaleAsNew
from detrun_scenarios.robot.bugs.starved_watchdog import StarvedWatchdog
from detrun_scenarios.robot.parts import Parts

BUGS: Mapping[str, Parts] = {
    "stale_as_new": Parts(fusion=StaleAsNew),
    "half_written_pose": Parts(board=HalfWrittenPose),
    "starved_watchdog": Parts(watchdog=StarvedWatchdog),
    "angle_not_wrapped": Parts(fusion=AngleNotWrapped),
    "previous_goal": Parts(actuators=PreviousGoal),
}
