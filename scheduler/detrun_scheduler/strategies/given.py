"""A schedule given as data: an explorer's candidate, or the choices in a token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from detrun_scheduler.choices import FIRST_ACTION, GivenActions, KeyedDraws, RunView
from detrun_scheduler.strategies.runnable_order import place_in


class GivenSchedule(KeyedDraws):
    """Makes given choices and after them, or where one does not exist, lets the running task go on.

    Args:
        choices: an index among the runnable tasks for each choice, and the numbers of actions.
    """

    decides_actions = True

    def __init__(self, choices: Iterable[int]) -> None:
        numbers = tuple(choices)
        self.choices = tuple(number for number in numbers if number < FIRST_ACTION)
        self.position = 0
        self.actions = GivenActions(numbers)
        self.attends, self.collects = self.actions.attends, self.actions.collects
        self.next_action = self.actions.next_action

    def new_run(self, run: RunView) -> None:
        """Start from the first choice."""
        self.position = 0
        self.actions.new_run(run)

    def action(self, steps: int, has_timers: bool) -> int:
        """The next given action."""
        return self.actions.action(steps, has_timers)

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The next given choice."""
        position = self.position
        self.position = position + 1
        if position < len(self.choices) and self.choices[position] < len(runnable):
            return self.choices[position]
        return max(place_in(runnable, current), 0)
