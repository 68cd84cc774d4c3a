"""First come, first served: the task that has been runnable longest steps next.

Tasks that became runnable between the same two choices are ordered by spawn number. The oracle is asked only where
there is a choice, so a task that was stepped because it was alone keeps the place it had.
"""

from __future__ import annotations

from collections.abc import Sequence

from detrun_scheduler.choices import KeyedDraws, RunView
from detrun_scheduler.strategies.campaigns import Independent


class Fifo(KeyedDraws, Independent):
    """Fair, the same for every seed: the schedule to start debugging with."""

    def __init__(self) -> None:
        self.queue: dict[int, None] = {}  # runnable tasks by arrival, oldest first

    def new_run(self, run: RunView) -> None:
        """Forget the queue of the run before."""
        self.queue.clear()

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The index of the task that waited longest."""
        queue = self.queue
        present = set(runnable)
        for task in [task for task in queue if task not in present]:
            del queue[task]
        for task in runnable:
            if task not in queue and task != current:
                queue[task] = None
        if current in present:
            queue[current] = None
        chosen = next(iter(queue))
        del queue[chosen]
        return runnable.index(chosen)
