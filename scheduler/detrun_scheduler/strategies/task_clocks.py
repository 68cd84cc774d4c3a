"""Clocks of tasks: a random walk over schedules in which each task draws for itself.

Every runnable task has a clock that rings after a time of its own, exponentially distributed; the task whose clock
rings first steps next. An exponential time forgets how long it has lasted, so at each choice every runnable task is
equally likely, whatever happened before: the schedules have the law of a `RandomWalk`. With a *weight* for each task,
by which its clock runs faster, they have that of a walk in proportion to the weights.

What a walk with one sequence of draws does not give: the times belong to the task's path and to its own count of steps.
Where one part of a program takes another course, the tasks of every other part keep their times, and with them their
order among themselves, exactly so, since times are whole numbers of ticks.

Source: the next reaction method, Gibson and Bruck, "Efficient exact stochastic simulation of chemical systems with many
species and many channels", J. Phys. Chem. A, 2000; as a coupling of two runs, Rathinam, Sheppard and Khammash,
"Efficient computation of parameter sensitivities of discrete stochastic chemical reaction networks", 2010.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from heapq import heappop, heappush

from detrun_scheduler.randomness import draw_bits, stream_key, to_unit
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.strategies.runnable_order import place_in

TICKS = 1 << 40  # in the mean time of one clock of weight 1


class TaskClocks:
    """The clocks of one run. It is to be told of every step, `step_taken`, and of arrivals, by ``arrived``.

    Args:
        lasting: for a path and a count of its clocks so far, how many ticks that clock lasts at weight 1.
        weight: of a task, by its number, above 0; None: all weigh 1.
    """

    def __init__(self, lasting: Callable[[str, int], int], weight: Callable[[int], float] | None = None) -> None:
        self.lasting = lasting
        self.weight = weight
        self.now = 0  # ticks
        self.rings: dict[int, int] = {}  # by runnable task: when its clock rings
        self.weights: dict[int, float] = {}  # with which that was computed, where it is not 1
        self.heap: list[tuple[int, int]] = []  # (ring, task); entries that `rings` does not confirm count no more
        self.counts: dict[str, int] = {}  # by path: clocks so far
        self.arrived: list[int] = []  # tasks that became runnable since the last step

    def begin(self, run: ActiveRun, runnable: Sequence[int]) -> None:
        """Start a clock for each task that can run."""
        for task in runnable:
            self._start(run.path_of(task), task)

    def _start(self, path: str, task: int) -> None:
        count = self.counts.get(path, 0)
        self.counts[path] = count + 1
        ticks = self.lasting(path, count)
        if self.weight is not None:
            weight = self.weights[task] = self.weight(task)
            ticks = int(ticks / weight)
        ring = self.rings[task] = self.now + ticks
        heappush(self.heap, (ring, task))

    def step_taken(self, run: ActiveRun) -> None:
        """The task that has stepped, and those that became runnable, get new clocks."""
        task, rings = run.current, self.rings
        ring = rings.pop(task, self.now)
        if ring > self.now:
            self.now = ring
        runnable = run.host.queue.numbers
        if self.arrived:
            for number in self.arrived:
                if number not in rings and place_in(runnable, number) >= 0:
                    self._start(run.path_of(number), number)
            self.arrived.clear()
        if task not in rings and place_in(runnable, task) >= 0:
            self._start(run.path_of(task), task)

    def reweigh(self) -> None:
        """Weights have changed: what is left of each clock lasts as long as the new ones say."""
        assert self.weight is not None
        for task, ring in self.rings.items():
            old, new = self.weights[task], self.weight(task)
            if old != new:
                self.weights[task] = new
                self.rings[task] = self.now + int(max(ring - self.now, 0) * (old / new))
        self.heap = sorted((ring, task) for task, ring in self.rings.items())

    def next_task(self, run: ActiveRun, runnable: Sequence[int]) -> int:
        """The index of the task whose clock rings first."""
        heap, rings = self.heap, self.rings
        while heap:
            ring, task = heap[0]
            if rings.get(task) == ring:
                place = place_in(runnable, task)
                if place < 0:
                    break  # it is held, or the loop is at a stand and asks among threads only
                if ring >= self.now:
                    return place
            heappop(heap)
            if rings.get(task) == ring:  # it rang while the task could not step: that says nothing of when it will
                self._start(run.path_of(task), task)
        for task in runnable:
            if rings.get(task, -1) < self.now:
                self._start(run.path_of(task), task)
        return min(range(len(runnable)), key=lambda index: (rings[runnable[index]], index))


def exponential_ticks(bits: int) -> int:
    """64 random bits to an exponential number of ticks, at least 1."""
    return 1 + int(-math.log1p(-to_unit(bits)) * TICKS)


class KeyedClocks:
    """How long clocks last, as functions of the run's seed, the path and the count."""

    def __init__(self, seed: int) -> None:
        self.stream = lru_cache(maxsize=4096)(lambda path: stream_key(seed, f"clock of {path}"))

    def __call__(self, path: str, count: int) -> int:
        """In ticks."""
        return exponential_ticks(draw_bits(self.stream(path), count))
