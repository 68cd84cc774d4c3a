"""A command that was overtaken by the next goal is carried out: the robot goes on with what is over."""

from __future__ import annotations

from detrun_scenarios.robot.body.actuators import Actuators
from detrun_scenarios.robot.messages import Command


class PreviousGoal(Actuators):
    """Takes a command of any other goal for one of a new goal."""

    def is_new(self, command: Command) -> bool:
        """See `Actuators.is_new`."""
        return command.goal != self.goal or command.number > self.number  # right: goal is the present one, and
