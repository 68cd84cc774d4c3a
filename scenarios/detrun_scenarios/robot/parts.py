"""`Parts`: the classes that a robot is put together from; a planted bug replaces one of them."""

from __future__ import annotations

from dataclasses import dataclass

from detrun_scenarios.robot.body.actuators import Actuators
from detrun_scenarios.robot.body.watchdog import Watchdog
from detrun_scenarios.robot.estimation.fusion import Fusion
from detrun_scenarios.robot.estimation.pose_board import PoseBoard


@dataclass(frozen=True, slots=True)
class Parts:
    """See the module."""

    fusion: type[Fusion] = Fusion
    board: type[PoseBoard] = PoseBoard
    actuators: type[Actuators] = Actuators
    watchdog: type[Watchdog] = Watchdog


RIGHT = Parts()
