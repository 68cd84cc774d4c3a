"""Orders of the runnable tasks that strategies keep from one choice to the next.

A strategy that looks at all runnable tasks at every choice costs O(n) a step, which among a handful is the fastest way
and among thousands the slowest. From ``MANY`` runnable tasks on the strategies here keep what they know between choices
and are told of tasks that become runnable (`detrun_scheduler.choices.ToldOracle`). They choose the same tasks and draw
the same numbers either way; tests compare the two.

The rule that makes this exact: a task leaves the runnable ones only by being stepped, and it is stepped without having
been chosen only where it is alone. So between two choices among many none but the chosen one has left; where there were
few in between, the order is made anew.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import cast

from sortedcontainers import SortedList

MANY = 32


def place_in(runnable: Sequence[int], task: int) -> int:
    """The index of ``task`` among ascending numbers, -1 if it is not there."""
    if isinstance(runnable, list):
        place = bisect_left(runnable, task)
    else:  # very many
        place = cast("SortedList", runnable).bisect_left(task)
    return place if place < len(runnable) and runnable[place] == task else -1


class Arrivals:
    """What a strategy is told in a run, and whether it keeps an order at the moment."""

    def __init__(self) -> None:
        self.arrived: list[int] | None = None  # None: not told
        self.is_kept = False

    def new_run(self) -> None:
        """Nothing is told until `arrivals`."""
        self.arrived, self.is_kept = None, False

    def arrivals(self) -> list[int]:
        """The list to fill; see `ToldOracle`."""
        self.arrived = []
        return self.arrived

    def are_few(self, runnable: Sequence[int]) -> bool:
        """Whether to look at all runnable tasks."""
        if len(runnable) >= MANY and self.arrived is not None:
            return False
        self.is_kept = False
        if self.arrived:
            self.arrived.clear()
        return True

    def since_last(self, runnable: Sequence[int], passed_over: int = -1) -> list[int] | None:
        """The tasks that became runnable since the last choice and are, ascending; None: make the order anew.

        Args:
            passed_over: a task that was chosen then, and another one was stepped instead; it counts as one of them.
        """
        assert self.arrived is not None
        if not self.is_kept:
            self.is_kept = True
            self.arrived.clear()
            return None
        if passed_over >= 0:
            self.arrived.append(passed_over)
        if not self.arrived:
            return []
        found = sorted({task for task in self.arrived if place_in(runnable, task) >= 0})
        self.arrived.clear()
        return found


class HighestPriority:
    """The runnable task with the highest priority, where priorities are distinct and kept by the strategy.

    A priority that has changed is told by `push`; entries of old ones, and of tasks that are not runnable, are dropped
    when they surface. Cost: O(log n) for each push.
    """

    def __init__(self, priorities: Mapping[int, float]) -> None:
        self.priorities = priorities
        self.heap: list[tuple[float, int]] = []
        self.entered: dict[int, float] = {}  # by task: the priority of its entry that counts

    def make(self, tasks: Iterable[int]) -> None:
        """Start with these tasks."""
        self.entered = {task: self.priorities[task] for task in tasks}
        self.heap = [(-priority, task) for task, priority in self.entered.items()]
        heapify(self.heap)

    def push(self, task: int) -> None:
        """A task has become runnable, or has another priority."""
        priority = self.priorities[task]
        if self.entered.get(task) != priority:
            self.entered[task] = priority
            heappush(self.heap, (-priority, task))

    def top(self, runnable: Sequence[int]) -> int:
        """The runnable task with the highest priority; it stays."""
        task = self.top_or_none(runnable)
        assert task is not None, f"none of the tasks {list(runnable[:10])} is in the order"
        return task

    def top_or_none(self, runnable: Sequence[int]) -> int | None:
        """The same; None if there is none."""
        heap, entered = self.heap, self.entered
        while heap:
            negative, task = heap[0]
            if entered.get(task) == -negative:
                if place_in(runnable, task) >= 0 and self.priorities.get(task) == -negative:
                    return task
                del entered[task]
            heappop(heap)
        return None

    def drop(self, task: int) -> None:
        """A task counts no more, until it is pushed."""
        self.entered.pop(task, None)


class Shares:
    """Whole numbers by task, and the task at a point of their sum: a binary indexed tree over task numbers.

    Source: Fenwick, "A new data structure for cumulative frequency tables", 1994. Cost: O(log n) for `set` and `at`.
    """

    def __init__(self) -> None:
        self.shares: dict[int, int] = {}
        self.tree: list[int] = [0]  # one-based; its length less one is a power of two
        self.total = 0

    def __contains__(self, task: int) -> bool:
        return task in self.shares

    def __len__(self) -> int:
        return len(self.shares)

    def drop(self, task: int) -> None:
        """A task has no share any more."""
        self.set(task, 0)
        del self.shares[task]

    def make(self, shares: dict[int, int]) -> None:
        """Start with these; at least one."""
        self.shares = shares
        size = 1 << (max(shares) + 1).bit_length()
        tree = self.tree = [0] * (size + 1)
        for task, share in shares.items():
            tree[task + 1] = share
        for place in range(1, size):
            tree[place + (place & -place)] += tree[place] if place + (place & -place) <= size else 0
        self.total = sum(shares.values())

    def set(self, task: int, share: int) -> None:
        """Give a task another share."""
        size = len(self.tree) - 1
        if task + 1 > size:
            self.make({**self.shares, task: share})
            return
        change = share - self.shares.get(task, 0)
        self.shares[task] = share
        self.total += change
        place = task + 1
        while change and place <= size:
            self.tree[place] += change
            place += place & -place

    def at(self, point: float) -> int:
        """The first task up to which, it included, the shares sum up to more than ``point``, which is below `total`."""
        place, step, tree = 0, (len(self.tree) - 1), self.tree
        rest = point
        while step:
            if place + step < len(tree) and tree[place + step] <= rest:
                place += step
                rest -= tree[place]
            step >>= 1
        return place
