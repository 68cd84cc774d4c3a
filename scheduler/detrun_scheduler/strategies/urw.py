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
from detrun_scheduler.randomness import seed_again
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.strategies.runnable_order import Arrivals, Shares, place_in

Knowledge = dict[str, int]  # task path -> most steps of it in a run


class UniformRandomWalk(KeyedDraws):
    """Choices in proportion to the steps that tasks have left."""

    def __init__(self) -> None:
        self.known: Knowledge = {}
        self.seen: Knowledge = {}  # since `tell`, up to the last run
        self.is_told = False
        self.run: RunView | None = None
        self._generator = Random(0)
        self.random = self._generator.random
        self.last = -1  # the task chosen last
        self.left: dict[int, int] = {}  # by task: steps expected of it from here on
        self.taken: dict[int, int] = {}  # by task: steps of it in this run
        self.paths: dict[int, str] = {}
        self.waiting: Knowledge = {}  # paths not met in this run, with their counts
        self.below: Knowledge = {}  # by path: the sum of the counts of those that begin with it and a slash
        self.at: dict[str, list[int]] = {}  # the tasks met in this run, by path
        self.told = Arrivals()
        self.arrivals = self.told.arrivals
        self.shares = Shares()  # of runnable tasks, by number: the steps that they have left

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
        seed_again(self._generator, run.seed)
        self.last = -1
        self.left = {}
        self.paths = {}
        self.waiting = dict(self.known)
        self.below = {}
        for path, count in self.waiting.items():
            self._add_below(path, count)
        self.at = {}
        self.told.new_run()

    def _add_below(self, path: str, count: int) -> None:
        below, end = self.below, path.rfind("/")
        while end > 0:
            path = path[:end]
            below[path] = below.get(path, 0) + count
            end = path.rfind("/")

    def _meet(self, task: int) -> None:
        """A task is runnable for the first time: what it and its descendants are known to need moves to it."""
        assert self.run is not None
        path = self.paths[task] = self.run.path_of(task)
        self.taken[task] = 0
        self.at.setdefault(path, []).append(task)
        if path in self.waiting:
            own = self.waiting.pop(path)
            self._add_below(path, -own)
        else:
            own = 1
        # Ancestors that carried this task's steps give them away.
        end = path.rfind("/")
        while end > 0:
            for other in self.at.get(path[:end], ()):
                if self.left[other] > own:
                    self._set_left(other, self.left[other] - own)
            end = path.rfind("/", 0, end)
        self._set_left(task, own + self.below.get(path, 0))

    def _set_left(self, task: int, steps: int) -> None:
        self.left[task] = steps
        if self.told.is_kept and task in self.shares:
            self.shares.set(task, steps)

    def weights(self, runnable: Sequence[int]) -> list[float]:
        """See `Distribution`: the steps left."""
        for task in runnable:
            if task not in self.left:
                self._meet(task)
        left = [float(self.left[task]) for task in runnable]
        return left if any(left) else [1.0] * len(left)

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The index of a task, in proportion to the steps left."""
        left, told, shares = self.left, self.told, self.shares
        few = told.are_few(runnable)
        arrived = None if few else told.since_last(runnable, self.last)
        for task in runnable if arrived is None else arrived:
            if task not in left:
                self._meet(task)
        if few:
            total = sum(left[task] for task in runnable)
        else:
            if arrived is not None:
                if self.last in shares and place_in(runnable, self.last) < 0:
                    shares.drop(self.last)  # the one that was chosen has left
                for task in arrived:
                    shares.set(task, left[task])
            if arrived is None or len(shares) != len(runnable):  # another one than the chosen was stepped
                shares.make({task: left[task] for task in runnable})
            total = shares.total
        if total <= 0:  # all have run longer than ever before
            index = int(self.random() * len(runnable))
        else:
            point, index = self.random() * total, -1
            if not few:
                index = place_in(runnable, shares.at(point))
            else:
                for index, task in enumerate(runnable):  # noqa: B007
                    point -= left[task]
                    if point < 0:
                        break
        self.last = runnable[index]
        return index

    def step_closed(self, run: ActiveRun, task: int, outcome_byte: int, record: bytes) -> None:
        """Count the step; where there was no choice, too, since in another schedule there may be one."""
        if task not in self.left:
            self._meet(task)
        self.taken[task] += 1
        if self.left[task] > 0:
            self._set_left(task, self.left[task] - 1)
