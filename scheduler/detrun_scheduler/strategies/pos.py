"""Partial order sampling: random priorities for steps, drawn anew where a step is in a race.

The next step of every task has a random priority and the highest runs. A priority stays with its step until the step is
run or a dependent step of another task is; steps without conflicts thus cost no luck, and the orders of those
that do are sampled much more evenly than by a random walk, without a bound on preemptions.

Source: Yuan, Yang, Gu, "Partial order aware concurrency sampling", CAV 2018, algorithm 2 (POS). Departures. They see
the next operation of each thread before it happens. In a task it is known only afterwards, so it is predicted: what the
same task touched when it went on from the same place in its code, in this run or an earlier one. Where nothing is
known, the priority is drawn anew, which makes a first run a random walk. Predictions go from one process to another, so
objects that were made before the run, whose names are those of a process, count as one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from detrun_scheduler.choices import KeyedDraws, RunView
from detrun_scheduler.footprints.footprints import EVERYTHING, WRITE, Footprint, Key, modes_conflict
from detrun_scheduler.footprints.marks import portable, touch
from detrun_scheduler.footprints.steps import place_of
from detrun_scheduler.footprints.watch import Watch
from detrun_scheduler.randomness import seed_again
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.strategies.runnable_order import Arrivals, HighestPriority, place_in

Place = tuple[str, str]  # a task's path and where in its code it goes on
Knowledge = dict[Place, Footprint]


class PartialOrderSampling(KeyedDraws):
    """Priorities of steps, drawn anew in races.

    Args:
        watch: the footprints of steps; its own by default, entered with the strategy.
    """

    def __init__(self, watch: Watch | None = None) -> None:
        self.watch = watch if watch is not None else Watch()
        self.known: Knowledge = {}
        self.seen: Knowledge = {}  # since `tell`
        self.is_told = False
        self.observing = False  # accesses of threads to plain state have footprints, too; the campaign sets it
        self._generator = Random(0)
        self.random = self._generator.random
        self.run: Any = None
        self.priorities: dict[int, float] = {}  # of the next step of each task
        self.places: dict[int, Place] = {}  # where each task goes on
        # Of the next steps that are predicted: the tasks by what they touch and how. With many tasks, looking at each
        # of them after every step would cost more than all the rest.
        self.touching: dict[Key, tuple[dict[int, None], dict[int, None], dict[int, None]]] = {}
        self.unpredicted: dict[int, None] = {}  # tasks whose next step may touch anything
        self.told = Arrivals()
        self.arrivals = self.told.arrivals
        self.order = HighestPriority(self.priorities)
        self.to_draw: set[int] = set()  # tasks that have lost their priority since the last choice
        self.is_watching = False  # steps are shown to it in this run
        # Among many: the runnable tasks that are not predicted. All draw anew at every choice; see `_among_many`.
        self.anew: list[int] = []

    def __enter__(self) -> PartialOrderSampling:
        self.watch.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.watch.__exit__(*exception)

    def sibling(self) -> PartialOrderSampling:
        """Another for runs of the same program elsewhere; footprints are watched once in a process."""
        return PartialOrderSampling(self.watch)

    def tell(self, knowledge: Knowledge | None) -> None:
        """Take predictions from a campaign."""
        self.known, self.is_told = knowledge or {}, True
        self.seen = {}

    def learnt(self) -> Knowledge:
        """What steps touched since `tell`."""
        return self.seen

    def merged(self, first: Knowledge | None, second: Knowledge | None) -> Knowledge:
        """Everything that a place was seen to touch."""
        merged = dict(first or {})
        for place, footprint in (second or {}).items():
            merged[place] = _united(merged.get(place), footprint)
        return merged

    def new_run(self, run: RunView) -> None:
        """Reseed, forget the priorities."""
        if not self.is_told:
            self.known = dict(self.seen)
        self.run = run
        self.watch.step.forget()
        seed_again(self._generator, run.seed)
        self.priorities.clear()
        self.to_draw.clear()
        self.is_watching = False
        self.told.new_run()
        self.places = {}
        self.touching = {}
        self.unpredicted = {}

    def draw(self, stream: bytes, index: int) -> int:
        """As ever; a stream that tasks share by a key orders their draws."""
        touch(("draw", stream), WRITE)
        return super().draw(stream, index)

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The index of the task whose next step has the highest priority."""
        priorities, places, told, order = self.priorities, self.places, self.told, self.order
        few = told.are_few(runnable)
        arrived = None if few else told.since_last(runnable)
        if not few and self.is_watching:
            return self._among_many(runnable, arrived)
        drawing: Iterable[int] = runnable
        if arrived is not None:
            drawing = sorted({*arrived, *(task for task in self.to_draw if place_in(runnable, task) >= 0)})
        self.to_draw.clear()
        for task in drawing:
            if task not in priorities:
                priorities[task] = self.random()
                if task not in places:
                    self._predict(task)
        if few:
            return place_in(runnable, max(runnable, key=priorities.__getitem__))
        if arrived is None:
            order.make(runnable)
        else:
            for task in drawing:
                order.push(task)
        return place_in(runnable, order.top(runnable))

    def _among_many(self, runnable: Sequence[int], arrived: Sequence[int] | None) -> int:
        """As `next_task`, without a draw for each task that draws anew.

        The largest of ``k`` uniform numbers has the distribution of one to the power of ``1 / k``, and each of the
        ``k`` is as likely to be it.
        """
        priorities, order, anew = self.priorities, self.order, self.anew
        if arrived is None:
            anew.clear()
            order.make(())
            drawing: Iterable[int] = runnable
        else:
            drawing = sorted({*arrived, *(task for task in self.to_draw if place_in(runnable, task) >= 0)})
        self.to_draw.clear()
        for task in drawing:
            if task not in self.places:
                self._predict(task)
            if task not in self.unpredicted:
                if task not in priorities:
                    priorities[task] = self.random()
                order.push(task)
            elif (place := bisect_left(anew, task)) == len(anew) or anew[place] != task:
                priorities.pop(task, None)
                anew.insert(place, task)
        best = order.top_or_none(runnable)
        while anew:
            if best is not None and self.random() ** (1 / len(anew)) < priorities[best]:
                break
            task = anew[int(self.random() * len(anew))]
            if (place := place_in(runnable, task)) >= 0:
                return place
            anew.remove(task)  # it was stepped in place of another one
        assert best is not None
        return place_in(runnable, best)

    def step_closed(self, run: ActiveRun, task: int, outcome_byte: int, record: bytes) -> None:
        """Draw new priorities for the step's task and for every task that is in a race with it."""
        footprint = portable(self.watch.step.read(run, task, outcome_byte, record))
        place = self.places.pop(task, None)
        if place is not None:
            self._forget(task, place)
            self.seen[place] = _united(self.seen.get(place), footprint)
        priorities, to_draw = self.priorities, self.to_draw
        self.is_watching = True
        if (at := place_in(self.anew, task)) >= 0:
            del self.anew[at]
        priorities.pop(task, None)
        to_draw.add(task)
        if EVERYTHING in footprint:
            to_draw.update(priorities)
            priorities.clear()
            return
        if not self.told.is_kept:
            for other in self.unpredicted:
                priorities.pop(other, None)
        touching = self.touching
        for key, mode in footprint.items():
            by_mode = touching.get(key)
            if by_mode is None:
                continue
            for other_mode, tasks in enumerate(by_mode):
                if tasks and modes_conflict(mode, other_mode):
                    for other in tasks:
                        priorities.pop(other, None)
                    to_draw.update(tasks)

    def _predict(self, task: int) -> None:
        """Note what the task's next step is going to touch."""
        run = self.run
        place = self.places[task] = (run.path_of(task), place_of(run, task))
        predicted = self.known.get(place)
        if predicted is None or EVERYTHING in predicted:
            self.unpredicted[task] = None
            return
        for key, mode in predicted.items():
            by_mode = self.touching.get(key)
            if by_mode is None:
                by_mode = self.touching[key] = ({}, {}, {})  # READ, COMMUTE, WRITE
            by_mode[mode][task] = None

    def _forget(self, task: int, place: Place) -> None:
        self.unpredicted.pop(task, None)
        for key, mode in self.known.get(place, {}).items():
            by_mode = self.touching.get(key)
            if by_mode is not None:
                by_mode[mode].pop(task, None)


def _united(first: Footprint | None, second: Footprint) -> Footprint:
    if first is None:
        return second
    if first == second:
        return first
    return {key: max(first.get(key, 0), second.get(key, 0)) for key in (*first, *second)}
