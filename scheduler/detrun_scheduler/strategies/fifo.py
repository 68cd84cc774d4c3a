"""First come, first served: the task that has been runnable longest steps next.

Tasks that became runnable between the same two choices are ordered by spawn number. The oracle is asked only where
there is a choice, so a task that was stepped because it was alone keeps the place it had.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from detrun_scheduler.choices import KeyedDraws, RunView
from detrun_scheduler.strategies.campaigns import Independent
from detrun_scheduler.strategies.runnable_order import Arrivals, place_in


class Fifo(KeyedDraws, Independent):
    """Fair, the same for every seed: the schedule to start debugging with."""

    def __init__(self) -> None:
        # Runnable tasks by arrival, oldest first. A dict finds its first by passing over all that have gone before it.
        self.queue = OrderedDict[int, None]()
        self.last = -1  # the task chosen last
        self.told = Arrivals()
        self.arrivals = self.told.arrivals

    def new_run(self, run: RunView) -> None:
        """Forget the queue of the run before."""
        self.queue.clear()
        self.last = -1
        self.told.new_run()

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The index of the task that waited longest."""
        told, queue = self.told, self.queue
        passed_over = self.last if self.last != current else -1
        arrived = None if told.are_few(runnable) else told.since_last(runnable, passed_over)
        if arrived is None:
            return self._among_all(runnable, current)
        for task in arrived:
            if task not in queue and task != current:
                queue[task] = None
        if place_in(runnable, current) >= 0:
            queue[current] = None
        if len(queue) != len(runnable):  # another one than the chosen was stepped
            return self._among_all(runnable, current)
        chosen = self.last = next(iter(queue))
        del queue[chosen]
        return place_in(runnable, chosen)

    def _among_all(self, runnable: Sequence[int], current: int) -> int:
        queue = self.queue
        present = set(runnable)
        for task in [task for task in queue if task not in present]:
            del queue[task]
        for task in runnable:
            if task not in queue and task != current:
                queue[task] = None
        if current in present:
            queue[current] = None
        chosen = self.last = next(iter(queue))
        del queue[chosen]
        return runnable.index(chosen)
