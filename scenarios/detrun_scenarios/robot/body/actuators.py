"""`Actuators`: carry out commands that are new, young and of the present goal.

Commands travel independently, so one may be overtaken by a later one, or by the next goal. One that is older than its
lifetime is thrown away: it would be carried out in another place than it was made for. Each that is carried out later
than its deadline is a miss.
"""

from __future__ import annotations

from typing import Any

from detrun.world.nodes.node import Node
from detrun_scenarios.robot.body.arm import FOLDED
from detrun_scenarios.robot.body.vehicle import Vehicle
from detrun_scenarios.robot.invariants import Monitor
from detrun_scenarios.robot.messages import Command

LIFETIME_SECONDS = 0.25


class Actuators:
    """Of the base.

    Attributes:
        goal: the latest that the base has heard of.
        number: of the last command of it that was carried out; 0 for none.
        fed_at: when a command was last carried out, by the clock of the base.
        is_stopped: since then the watchdog has stopped them.
        arm_wanted: angles of the joints.
        ages: of the commands that were carried out.
    """

    def __init__(self, node: Node, vehicle: Vehicle, monitor: Monitor) -> None:
        self.goal = self.number = 0
        self.fed_at: Any = node.clock.wall_since_start()
        self.is_stopped = True
        self.arm_wanted: tuple[float, float] = FOLDED
        self.ages: list[Any] = []
        self._node, self._vehicle, self._monitor = node, vehicle, monitor

    def begin(self, goal: int) -> None:
        """The brain has turned to a goal."""
        if goal > self.goal:
            self.goal, self.number = goal, 0
            self._monitor.goal_is_known(goal)

    def is_new(self, command: Command) -> bool:
        """Whether it belongs to the present goal and was not overtaken."""
        return command.goal == self.goal and command.number > self.number

    def carry_out(self, command: Command) -> None:
        """Do what a command says, if it still counts."""
        now = self._node.clock.wall_since_start()
        age = now - command.issued
        if command.goal > self.goal:
            self.begin(command.goal)
        if not self.is_new(command) or age > LIFETIME_SECONDS:
            return
        self._monitor.carried_out(command)
        self.number = command.number
        self.fed_at, self.is_stopped = now, False
        self.ages.append(age)
        self._vehicle.command(command.speed, command.turn)
        self.arm_wanted = command.arm

    def stop(self) -> None:
        """The base stands; the arm stays where it is."""
        self.is_stopped = True
        self._vehicle.command(0.0, 0.0)
