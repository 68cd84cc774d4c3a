"""Probabilistic concurrency testing: a schedule with a known chance of finding a shallow bug.

Every task gets a distinct random priority and the highest-priority runnable task always runs.
At ``depth - 1`` choices, drawn uniformly from the first ``horizon``, the task that would run falls below all others.
A bug that needs ``depth`` ordering constraints among ``n`` tasks over ``k`` choices is then hit with probability
at least ``1 / (n * k ** (depth - 1))`` per run.

Source: Burckhardt, Kothari, Musuvathi, Nagarakatte, "A randomized scheduler with probabilistic guarantees of finding
bugs", ASPLOS 2010, section 3. Three departures. The horizon is not given: it is the largest number of choices seen in
earlier runs of this oracle, and in the first run change points are log-uniform up to ``FIRST_HORIZON``, so that short
and long programs both meet some. A task spawned in mid-run takes a random rank, not the last one. Only choices with
more than one runnable task count, since others decide nothing; this makes ``k`` smaller and the bound better.
The bound is proved for a fixed ``n`` and a true ``k``.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from detrun_scheduler.choices import KeyedDraws, RunView

FIRST_HORIZON = 10_000


class ProbabilisticConcurrencyTesting(KeyedDraws):
    """Random priorities with ``depth - 1`` random priority changes.

    Args:
        depth: ordering constraints that the bug needs; 1 finds only bugs of task order. At least 1.
    """

    def __init__(self, depth: int = 3) -> None:
        assert depth >= 1
        self.depth = depth
        self.horizon = 0  # most choices in a run so far; 0 before the first has ended
        self.choices = 0  # made in this run
        self.random = Random(0)
        self.priorities: dict[int, float] = {}  # task -> priority, distinct; spawned tasks in (0, 1), demoted ones < 0
        self.change_points: frozenset[int] = frozenset()
        self.demotions = 0

    def new_run(self, run: RunView) -> None:
        """Learn the horizon from the run before, draw new priorities and change points."""
        self.horizon = max(self.horizon, self.choices)
        self.choices = self.demotions = 0
        self.random = Random(run.seed)
        self.priorities.clear()
        if self.horizon:
            points = [self.random.randrange(self.horizon) for _ in range(self.depth - 1)]
        else:
            points = [int(FIRST_HORIZON ** self.random.random()) - 1 for _ in range(self.depth - 1)]
        self.change_points = frozenset(points)

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The index of the runnable task with the highest priority, after a change if one is due."""
        priorities = self.priorities
        for task in runnable:
            if task not in priorities:
                priorities[task] = self.random.random()
        chosen = max(runnable, key=priorities.__getitem__)
        if self.choices in self.change_points:
            self.demotions += 1
            priorities[chosen] = float(-self.demotions)
            chosen = max(runnable, key=priorities.__getitem__)
        self.choices += 1
        return runnable.index(chosen)
