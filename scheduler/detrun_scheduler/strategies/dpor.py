"""Dynamic partial-order reduction: one schedule for each way in which dependent steps can be ordered.

Steps whose footprints do not conflict may be swapped without changing anything, so of all schedules that differ by
such swaps (a *trace*) one is enough. The search runs a schedule, finds its *races*, pairs of dependent steps next to
each other in the happens-before order of which the second could have come first, and at the place of the first puts
the reversal on the list of things to try; *sleep sets* keep it from running the same trace twice.

Source: Abdulla, Aronis, Jonsson, Sagonas, "Optimal dynamic partial order reduction", POPL 2014, algorithm 1
(source-DPOR). Every trace is run to its end exactly once; a schedule that sleep sets find out half-way to be a
repetition is given up and counted as ``redundant`` (their wakeup trees would avoid these, for keeping trees).
Departures. Footprints are known only after a step, so races are looked for in the schedule that was run and not before
each step, which finds the same ones. A step here is everything between two schedule points of a task, not one memory
access. A task that tries and blocks has touched the object in that step; the step that wakes it happens before its next
one and does not race with it. Time moves only when nothing can run, so it orders everything before it before everything
after it. A nursery's children may end in any order, and all their ends happen before what the parent
does next. What the footprints do not see, the reduction does not cover: see `footprints`.
A task that was chosen ``PATIENCE`` times in a row though others could run gives way to the next one, as in `bounded`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from detrun_scheduler.choices import KeyedDraws, RunView
from detrun_scheduler.footprints.footprints import COMMUTE, EVERYTHING, READ, WRITE, Footprint, Key, conflict
from detrun_scheduler.footprints.marks import touch
from detrun_scheduler.footprints.watch import Watch
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.strategies.bounded import PATIENCE
from detrun_scheduler.strategies.campaigns import RedundantScheduleError, unrepeatable


@dataclass(slots=True)
class _Step:
    """One step of the schedule being searched, and what else was or will be tried in its place.

    Tasks are named by path: numbers depend on the order of spawning.
    """

    enabled: tuple[str, ...]  # who could run, by number
    chosen: str
    asleep: dict[str, Footprint]  # tasks whose step from here is covered elsewhere, and what that step touches
    todo: list[str] = field(default_factory=list)  # to try here: the backtrack set without what is done
    done: dict[str, Footprint] = field(default_factory=dict)
    fixed: bool = False  # nothing else may be tried here: a task had to give way
    # Of the step that was run:
    footprint: Footprint = field(default_factory=dict)
    before: list[int] = field(default_factory=list)  # by task: how many of its steps happen before this one
    task: int = 0  # index of the task among those of the schedule
    count: int = 0  # which step of its task it is, from 1
    barrier: bool = False
    woken: tuple[str, ...] = ()


class PartialOrderReduction(KeyedDraws):
    """Every order of dependent steps, each once."""

    def __init__(self) -> None:
        self.redundant = 0
        self.begun = False
        self.impatient = False
        self.observing = False  # accesses of threads to plain state have footprints, too; the campaign sets it
        self.steps: list[_Step] = []
        self.order = StepOrder()
        self.given = 0  # steps of the schedule that are decided
        self.position = 0  # steps taken in this run
        self.run: Any = None
        self.watch = Watch(with_state=True)
        self.streak = 0

    # A campaign watches footprints while it lasts.

    def __enter__(self) -> PartialOrderReduction:
        self.watch.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.watch.__exit__(*exception)

    # The search.

    def advance(self) -> bool:
        """Look for races in the schedule that was run, and go on to the deepest that has something to try."""
        if not self.begun:
            self.begun = True
            return True
        if self.position < self.given:
            raise unrepeatable(self.position)  # it ended before it had come to what was new
        del self.steps[self.position :]
        order = self.order
        order.cut(self.given)  # those were there before
        for index in range(self.given, len(self.steps)):
            order.add(self.steps[index])
            for first in order.races[index]:
                self._reverse(first, index)
        while self.steps:
            last = self.steps[-1]
            last.done[last.chosen] = last.footprint
            while last.todo:
                following = last.todo.pop(0)
                if following not in last.done and following not in last.asleep:
                    last.chosen = following
                    self.given = len(self.steps) - 1  # this step is run for the first time, its races are new
                    return True
            self.steps.pop()
        return False

    def bound(self) -> str:
        """What has been covered."""
        what = f"all orders of declared operations{' and observed accesses' if self.observing else ''}"
        if self.impatient:
            what += f" in which no task is chosen more than {PATIENCE} times in a row while others could run"
        return what

    def _reverse(self, first: int, second: int) -> None:
        """See to it that a schedule is tried in which the second of two racing steps comes before the first."""
        step = self.steps[first]
        if step.fixed:
            return
        beginning = initials(self.steps, first, second)
        present = {*step.todo, *step.done, *step.asleep, step.chosen}
        if present.intersection(beginning):
            return
        able = [path for path in beginning if path in step.enabled]
        racing = self.steps[second].chosen
        if able:
            step.todo.append(racing if racing in able else able[0])
        else:
            step.todo += [path for path in step.enabled if path not in present]

    # One run.

    def new_run(self, run: RunView) -> None:
        """Follow the schedule from the start."""
        self.run = run
        self.watch.step.forget()
        self.position = 0
        self.streak = 0

    def draw(self, stream: bytes, index: int) -> int:
        """As ever; a stream that tasks share by a key orders their draws."""
        touch(("draw", stream), WRITE)
        return super().draw(stream, index)

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The next step of the schedule being searched."""
        # While a task blocks the event loop the others are runnable, but may not run.
        able = self.run.allowed or runnable
        paths = tuple(self.run.path_of(task) for task in able)
        here = able.index(current) if current in able else -1
        if self.position < len(self.steps):
            step = self.steps[self.position]
            if step.enabled != paths:
                raise unrepeatable(self.position)
            index = paths.index(step.chosen)
        else:
            step = self._new_step(paths, here)
            index = paths.index(step.chosen)
        self.streak = self.streak + 1 if index == here else 1
        return index if able is runnable else runnable.index(able[index])

    def _new_step(self, enabled: tuple[str, ...], here: int) -> _Step:
        asleep = self._asleep()
        fixed = here >= 0 and self.streak >= PATIENCE
        awake = [path for path in enabled if path not in asleep]
        if not awake:
            raise RedundantScheduleError("every task that can run here was run here before")
        chosen = enabled[here] if here >= 0 and enabled[here] in awake else awake[0]
        if fixed:
            self.impatient = True
            others = [path for path in enabled[here + 1 :] + enabled[:here] if path in awake]
            chosen = others[0] if others else chosen
        step = _Step(enabled, chosen, asleep, fixed=fixed)
        self.steps.append(step)
        return step

    def _asleep(self) -> dict[str, Footprint]:
        """The tasks asleep at the next step: those asleep or tried at the last one whose step it did not touch."""
        if not self.steps:
            return {}
        last = self.steps[-1]
        return {
            path: footprint
            for path, footprint in (*last.asleep.items(), *last.done.items())
            if path != last.chosen and not conflict(footprint, last.footprint)
        }

    def step_closed(self, run: ActiveRun, task: int, outcome_byte: int, record: bytes) -> None:
        """Keep what the step touched; give the schedule up if the only task that can run next is asleep."""
        path = run.path_of(task)
        if self.position == len(self.steps):
            asleep = self._asleep()
            if path in asleep:
                raise RedundantScheduleError("the only task that can run here was run here before")
            self.steps.append(_Step((path,), path, asleep))
        step = self.steps[self.position]
        if step.chosen != path:
            raise unrepeatable(self.position)
        reader = self.watch.step
        step.footprint = reader.read(run, task, outcome_byte, record)
        step.barrier = reader.barrier
        step.woken = tuple(run.path_of(woken) for woken in reader.woken)
        self.position += 1


# Happens-before.


@dataclass(slots=True)
class _Access:
    """Who touched an object since it was last written, one step a task and mode: earlier ones happen before these."""

    write: int = -1
    reads: dict[int, int] = field(default_factory=dict)
    commutes: dict[int, int] = field(default_factory=dict)

    def conflicting(self, mode: int) -> Iterable[int]:
        """The latest steps that conflict with touching the object in this way."""
        if self.write >= 0:
            yield self.write
        if mode != COMMUTE:
            yield from self.commutes.values()
        if mode != READ:
            yield from self.reads.values()


_UNSET: Any = object()


class StepOrder:
    """Happens-before among the steps of a schedule, kept while the end of the schedule is replaced.

    Each step notes what it changed, so `cut` costs what adding the steps did, and a search goes over the beginning
    that a schedule has in common with the one before only once.
    """

    def __init__(self) -> None:
        self.steps: list[_Step] = []
        self.races: list[list[int]] = []  # by step: the earlier ones that it is in a race with
        self.indices: dict[str, int] = {}  # of tasks
        self.latest: dict[int, int] = {}  # by task: its last step so far
        self.wakers: dict[str, int] = {}
        self.accesses: dict[Key, _Access] = {}
        self.floor: list[int] = []  # happens before every step from here on: what came before time moved
        self.total = -1  # the last step that conflicts with everything
        self._changes: list[list[tuple[dict[Any, Any], Any, Any]]] = []  # by step: mapping, key, value before
        self._before: list[tuple[list[int], int]] = []  # by step: floor and total before it

    def _set(self, mapping: dict[Any, Any], key: Any, value: Any) -> None:
        self._changes[-1].append((mapping, key, mapping.get(key, _UNSET)))
        mapping[key] = value

    def cut(self, count: int) -> None:
        """Forget all but the first ``count`` steps."""
        while len(self.steps) > count:
            self.steps.pop()
            self.races.pop()
            self.floor, self.total = self._before.pop()
            for mapping, key, value in reversed(self._changes.pop()):
                if value is _UNSET:
                    del mapping[key]
                else:
                    mapping[key] = value

    def add(self, step: _Step) -> None:
        """Give the next step its clock, and find its races."""
        steps, accesses, index = self.steps, self.accesses, len(self.steps)
        self._before.append((self.floor, self.total))
        self._changes.append([])
        steps.append(step)
        task = self.indices.get(step.chosen, -1)
        if task < 0:
            task = len(self.indices)
            self._set(self.indices, step.chosen, task)
        step.task = task
        own, waker = self.latest.get(task, -1), self.wakers.get(step.chosen, -1)
        if waker >= 0:
            self._set(self.wakers, step.chosen, -1)
        enabling = {one for one in (own, waker) if one >= 0}
        conflicting = {self.total} if self.total >= 0 else set()
        if EVERYTHING in step.footprint:
            conflicting.update(self.latest.values())
        for key, mode in step.footprint.items():
            access = accesses.get(key)
            if access is None:
                self._set(accesses, key, access := _Access())
            for other in access.conflicting(mode):
                # The last child to end wakes the parent, but all ends enable it.
                joins = steps[other].footprint.get(key) == COMMUTE and waker >= 0 and key in steps[waker].footprint
                (enabling if joins else conflicting).add(other)
            if mode == WRITE:
                self._set(accesses, key, _Access(index))
            else:
                self._set(access.reads if mode == READ else access.commutes, task, index)
        step.count = 1 + (steps[own].count if own >= 0 else 0)
        known = enabling | conflicting
        step.before = _joined(self.floor, [steps[one] for one in known])
        self.races.append(
            sorted(
                one
                for one in conflicting - enabling
                if steps[one].task != task
                and _clock(self.floor, steps[one].task) < steps[one].count
                and not any(_precedes(steps[one], steps[other]) for other in known if other != one)
            )
        )
        self._set(self.latest, task, index)
        if EVERYTHING in step.footprint:
            self.total = index
        for path in step.woken:
            self._set(self.wakers, path, index)
        if step.barrier:
            self.floor = [0] * len(self.indices)
            for one, last in self.latest.items():
                self.floor[one] = steps[last].count


def _joined(floor: list[int], steps: Iterable[_Step]) -> list[int]:
    """The clock of what happens before a step: ``floor`` and, of each of ``steps``, its clock and itself."""
    clock = floor
    for step in steps:
        short, long = sorted((clock, step.before), key=len)
        clock = [*map(max, short, long), *long[len(short) :]]
        clock += [0] * (step.task + 1 - len(clock))
        # A later step of the same task may have been joined already: the largest counts, whatever the order of joining.
        clock[step.task] = max(clock[step.task], step.count)
    return clock


def _clock(clock: list[int], task: int) -> int:
    """How many steps of a task a clock counts; it is as long as the tasks that it knows."""
    return clock[task] if task < len(clock) else 0


def _precedes(first: _Step, second: _Step) -> bool:
    return _clock(second.before, first.task) >= first.count


def initials(steps: Sequence[_Step], first: int, second: int) -> list[str]:
    """Tasks that can begin what comes between two racing steps without the first, followed by the second."""
    rest = [
        steps[index]
        for index in range(first + 1, second + 1)
        if index == second or not _precedes(steps[first], steps[index])
    ]
    leaders: dict[int, _Step] = {}  # by task: its first step among these
    found = []
    for step in rest:
        if step.task not in leaders:
            if not any(_precedes(leader, step) for leader in leaders.values()):
                found.append(step.chosen)
            leaders[step.task] = step
    return found
