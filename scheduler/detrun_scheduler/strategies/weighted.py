"""Weighted random walk: each choice in proportion to the weights of the runnable tasks.

Weights come from the strategy's own table of path patterns, and from the program (`detrun.set_weight`), which comes
first; a task without one weighs 1. With no weights at all it is a random walk, made by `TaskClocks`: a task's times
depend on the seed, its path and its own count of steps, so two runs of one seed keep the order of what they have in
common, also where their weights differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detrun_scheduler.choices import KeyedDraws
from detrun_scheduler.clock import primal_of
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.strategies.campaigns import Independent
from detrun_scheduler.strategies.task_clocks import KeyedClocks, TaskClocks
from detrun_scheduler.task_weights import TaskWeights


class Weighted(KeyedDraws, Independent):
    """Choices in proportion to weights.

    Args:
        weights: by pattern of task paths: ``{"main/writer*": 3.0}``. Later ones come first.
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self.own = TaskWeights(weights)
        self.run: ActiveRun | None = None
        self.clocks: TaskClocks  # of the run
        self.found: dict[int, Any]  # by task: its weight, while no weight changes
        self.version: int  # of the program's weights, up to which `found` goes

    def new_run(self, run: Any) -> None:
        """Start the clocks."""
        self.run = run
        self.found, self.version = {}, 0
        self.clocks = TaskClocks(KeyedClocks(run.seed), self._number)

    def arrivals(self) -> list[int]:
        """The clocks are told."""
        return self.clocks.arrived

    def weight_of(self, task: int) -> Any:
        """The weight of a task: a number, or what the program gave."""
        found = self.found.get(task)
        if found is None:
            assert self.run is not None
            path = self.run.path_of(task)
            given = self.run.weights
            found = given.of(path) if given is not None else None
            if found is None:
                found = self.own.of(path)
            if found is None:
                found = 1.0
            self.found[task] = found
        return found

    def _number(self, task: int) -> float:
        return primal_of(self.weight_of(task))

    def _look(self) -> None:
        """Notice that the program has changed weights."""
        given = self.run.weights if self.run is not None else None
        if given is not None and given.version != self.version:
            self.version = given.version
            self.found.clear()
            self.clocks.reweigh()

    def weights(self, runnable: Sequence[int]) -> list[Any]:
        """To what the probabilities of these tasks are proportional."""
        self._look()
        return [self.weight_of(task) for task in runnable]

    def step_taken(self, run: ActiveRun) -> None:
        """See `StepToldOracle`."""
        self._look()
        self.clocks.step_taken(run)

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The task whose clock rings first."""
        assert self.run is not None
        self._look()
        return self.clocks.next_task(self.run, runnable)
