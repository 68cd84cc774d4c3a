"""Probabilistic concurrency testing: a schedule with a known chance of finding a shallow bug.

Every task gets a distinct random priority and the highest-priority runnable task always runs.
At ``depth - 1`` choices, drawn uniformly from the first ``horizon``, the task that would run falls below all others.
A bug that needs ``depth`` ordering constraints among ``n`` tasks over ``k`` choices is then hit with probability
at least ``1 / (n * k ** (depth - 1))`` per run.

Source: Burckhardt, Kothari, Musuvathi, Nagarakatte, "A randomized scheduler with probabilistic guarantees of finding
bugs", ASPLOS 2010, section 3. Four departures. The horizon is not given: it is log-uniform between the fewest and the
most choices seen in earlier runs of this oracle (in a campaign, in earlier epochs), since runs in which a loop polls
are much longer than what there is to decide in them; until there is a run, change points are log-uniform up to
``FIRST_HORIZON``, so that short and long programs both meet some. A task spawned in mid-run takes a random rank, not
the last one. Only choices with more than one runnable task count, since others decide nothing; this makes ``k`` smaller
and the bound better. And a task chosen ``PATIENCE`` times in a row falls below all others, as in the authors' treatment
of spin loops by yielding: otherwise a task that polls for what a lower one would do starves it, and the run never ends.
The bound is proved for a fixed ``n`` and a true ``k``, and for programs without such loops.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from detrun_scheduler.choices import KeyedDraws, RunView
from detrun_scheduler.randomness import seed_again
from detrun_scheduler.strategies.runnable_order import Arrivals, HighestPriority, place_in

FIRST_HORIZON = 10_000
PATIENCE = 500  # far above what a task takes in one go in small tests, far below any step limit


class ProbabilisticConcurrencyTesting(KeyedDraws):
    """Random priorities with ``depth - 1`` random priority changes.

    Args:
        depth: ordering constraints that the bug needs; 1 finds only bugs of task order. At least 1.
    """

    def __init__(self, depth: int = 3) -> None:
        assert depth >= 1
        self.depth = depth
        self.horizons = (0, 0)  # fewest and most choices in a run as far as this one may know; 0: none has ended
        self.lengths = (0, 0)  # the same of runs since `tell`
        self.is_told = False  # the horizon comes from a campaign, not from this oracle's own runs
        self.choices = 0  # made in this run
        self.random = Random(0)
        self.priorities: dict[int, float] = {}  # task -> priority, distinct; spawned tasks in (0, 1), demoted ones < 0
        self.change_points: frozenset[int] = frozenset()
        self.demotions = 0
        self.last = -1  # the task chosen last
        self.streak = 0  # choices in a row that fell on it
        self.told = Arrivals()
        self.arrivals = self.told.arrivals
        self.order = HighestPriority(self.priorities)

    def tell(self, knowledge: Sequence[int] | None) -> None:
        """Take the horizons from a campaign, None for none yet."""
        least, most = knowledge or (0, 0)
        self.horizons, self.is_told = (least, most), True
        self.lengths = (0, 0)
        self.choices = 0

    def learnt(self) -> tuple[int, int]:
        """The fewest and the most choices in a run since `tell`."""
        return spanning(self.lengths, (self.choices, self.choices))

    def merged(self, first: Sequence[int] | None, second: Sequence[int] | None) -> tuple[int, int]:
        """The wider span."""
        return spanning(first or (0, 0), second or (0, 0))

    def new_run(self, run: RunView) -> None:
        """Learn from the run before, draw a horizon, priorities and change points."""
        self.lengths = self.learnt()
        if not self.is_told:
            self.horizons = self.lengths
        self.choices = self.demotions = self.streak = 0
        self.last = -1
        seed_again(self.random, run.seed)
        self.priorities.clear()
        self.told.new_run()
        least, most = self.horizons
        if most:
            horizon = least if least == most else int(least * (most / least) ** self.random.random() + 0.5)
            points = [self.random.randrange(horizon) for _ in range(self.depth - 1)]
        else:
            points = [int(FIRST_HORIZON ** self.random.random()) - 1 for _ in range(self.depth - 1)]
        self.change_points = frozenset(points)

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The index of the runnable task with the highest priority, after a change if one is due."""
        priorities, told, order = self.priorities, self.told, self.order
        few = told.are_few(runnable)
        arrived = None if few else told.since_last(runnable)
        for task in runnable if arrived is None else arrived:
            if task not in priorities:
                priorities[task] = self.random.random()
        if few:
            chosen = max(runnable, key=priorities.__getitem__)
        else:
            if arrived is None:
                order.make(runnable)
            else:
                for task in arrived:
                    order.push(task)
            chosen = order.top(runnable)
        self.streak = self.streak + 1 if chosen == self.last else 1
        if self.choices in self.change_points or self.streak > PATIENCE:
            self.demotions += 1
            priorities[chosen] = float(-self.demotions)
            if few:
                chosen = max(runnable, key=priorities.__getitem__)
            else:
                order.push(chosen)
                chosen = order.top(runnable)
            self.streak = 1
        self.last = chosen
        self.choices += 1
        return place_in(runnable, chosen)


def spanning(first: Sequence[int], second: Sequence[int]) -> tuple[int, int]:
    """The smallest and the largest of two spans, where 0 stands for nothing."""
    found = [length for length in (*first, *second) if length]
    return (min(found), max(found)) if found else (0, 0)
