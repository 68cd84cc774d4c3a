"""Uniform random walk: every interleaving about equally likely, however unequal the tasks are in length.

A fair coin at each choice favours schedules in which short tasks end early: of two tasks with 1 and 9 steps left, the
next step belongs to the first in 1 of 10 interleavings, not in half. So a task is chosen with probability proportional
to the steps that it has left, and a task that will spawn others carries theirs until it does.

Source: Zhao, Wolff, Mathur, Roychoudhury, "Selectively uniform concurrency testing", ASPLOS 2025, algorithm 1 (URW).
Departures. Counts are not profiled beforehand but learnt: for each task path the most steps in a run so far, the paths
below it included until they are spawned; unknown tasks count one step. Their second algorithm, which is uniform over
the orders of a chosen subset of events alone, is not here: in a task the next event is known only when it has happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from detrun_scheduler.choices import KeyedDraws, RunView
from detrun_scheduler.run import ActiveRun

Knowledge = dict[str, int]  # task path -> most steps of it in a run


class UniformRandomWalk(KeyedDraws):
    """Choices in proportion to the steps that tasks have left."""

    def __init__(self) -> None:
        self.known: Knowledge = {}
        self.seen: Knowledge = {}  # since `tell`, up to the last run
        self.is_told = False
        self.run: RunView | None = None
        self.random = Random(0).random
        self.left: dict[int, int] = {}  # by task: steps expected of it from here on
        self.taken: dict[int, int] = {}  # by task: steps of it in this run
        self.paths: dict[int, str] = {}
        self.waiting: Knowledge = {}  # paths not met in this run, with their counts

    def tell(self, knowledge: Knowledge | None) -> None:
        """Take the counts from a campaign."""
        self.known, self.is_told = knowledge or {}, True
        self.seen = {}
        self.taken = {}

    def learnt(self) -> Knowledge:
        """The counts since `tell`."""
        self._learn()
        return self.seen

    def merged(self, first: Knowledge | None, second: Knowledge | None) -> Knowledge:
        """The larger of each count."""
        merged = dict(first or {})
        for path, count in (second or {}).items():
            merged[path] = max(count, merged.get(path, 0))
        return merged

    def _learn(self) -> None:
        for task, count in self.taken.items():
            path = self.paths[task]
            self.seen[path] = max(count, self.seen.get(path, 0))
        self.taken = {}

    def new_run(self, run: RunView) -> None:
        """Learn from the run before and start counting."""
        self._learn()
        if not self.is_told:
            self.known = dict(self.seen)
        self.run = run
        self.random = Random(run.seed).random
        self.left = {}
        self.paths = {}
        self.waiting = dict(self.known)

    def _meet(self, task: int) -> None:
        """A task is runnable for the first time: what it and its descendants are known to need moves to it."""
        assert self.run is not None
        path = self.paths[task] = self.run.path_of(task)
        self.taken[task] = 0
        own = self.waiting.pop(path, 1)
        below = path + "/"
        for other, number in self.paths.items():
            # An ancestor that carried this task's steps gives them away.
            if path.startswith(f"{number}/") and self.left.get(other, 0) > own:
                self.left[other] -= own
        self.left[task] = own + sum(count for other, count in self.waiting.items() if other.startswith(below))

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The index of a task, in proportion to the steps left."""
        left = self.left
        for task in runnable:
            if task not in left:
                self._meet(task)
        total = sum(left[task] for task in runnable)
        if total <= 0:  # all have run longer than ever before
            index = int(self.random() * len(runnable))
        else:
            point, index = self.random() * total, -1
            for index, task in enumerate(runnable):  # noqa: B007
                point -= left[task]
                if point < 0:
                    break
        return index

    def step_closed(self, run: ActiveRun, task: int, outcome_byte: int, record: bytes) -> None:
        """Count the step; where there was no choice, too, since in another schedule there may be one."""
        if task not in self.left:
            self._meet(task)
        self.taken[task] += 1
        if self.left[task] > 0:
            self.left[task] -= 1
