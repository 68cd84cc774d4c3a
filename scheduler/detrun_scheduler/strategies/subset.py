"""A walk among a subset of the tasks: two or three take turns, and the rest waits until those can go no further.

A run has a small set of *active* tasks. Where one of them can run, one of them is chosen: in a quarter of the runs
uniformly at each step, in the others for a turn whose length is log-uniform up to ``TURN_MAX`` choices, so that both
"after its second step" and "when it has ended" are likely. The rest, the *background*, runs only when no active task
can, in a random order of priorities. Of programs with a hundred tasks in which two matter, any strategy that gives all
a turn needs luck a hundred times over; this one needs it for the two.

Source: Lu, Park, Seo, Zhou, "Learning from mistakes: a comprehensive study on real world concurrency bug
characteristics", ASPLOS 2008: 96 % of the bugs show for certain if an order between two threads is enforced. The
sampling is ours. Active tasks are drawn from those met in earlier runs; a *kind* first (the path without its number:
tasks that one line of code starts are alike), then one of that kind. Two of them in half of the runs, three in a
quarter, and so on. Their parents are not candidates: in half of the runs they go first until all active tasks are
there, in the others they belong to the active ones. Where nothing is known, all are active: a random walk.

So that loops that poll end, a background task joins the active ones after each ``PATIENCE`` choices made among those
while it could have run.
"""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from detrun_scheduler.choices import KeyedDraws, RunView
from detrun_scheduler.randomness import seed_again
from detrun_scheduler.strategies.runnable_order import Arrivals, HighestPriority, place_in

PATIENCE = 200
TURN_MAX = 256
KNOWN_MAX = 10_000  # tasks

_SLASH, _NUMBER = re.compile("/"), re.compile(r"\[\d+\]")

Knowledge = list[str]  # paths of tasks, sorted


class SubsetWalk(KeyedDraws):
    """A walk among a subset of the tasks."""

    def __init__(self) -> None:
        self.known: list[list[str]] = []  # candidates by kind
        self.seen: set[str] = set()  # paths met since `tell`
        self.is_told = False
        self.run: Any = None
        self.random = Random(0)
        self.in_turns = False
        self.turn = 0  # choices left of the running task's turn
        self.last = -1  # the task chosen last
        self.wanted: set[str] = set()  # active tasks that have not been met in this run
        self.all_active = True
        self.parents_first = False
        self.active: dict[int, bool] = {}  # by task met in this run
        self.parents: set[int] = set()  # tasks met that active ones descend from
        self.priorities: dict[int, float] = {}  # of the background
        self.passed_over = 0
        self.told = Arrivals()
        self.arrivals = self.told.arrivals
        self.chosen = -1  # the task chosen last
        self.able: list[int] = []  # of the tasks that were runnable at the last choice: the active ones, ascending
        self.background: set[int] = set()  # and the others
        self.order = HighestPriority(self.priorities)  # of the background
        self.undrawn: set[int] = set()  # those of the background that have no priority yet

    def tell(self, knowledge: Knowledge | None) -> None:
        """Take the tasks from a campaign."""
        self.known, self.is_told = _by_kind(knowledge or ()), True
        self.seen = set()

    def learnt(self) -> Knowledge:
        """The tasks met since `tell`."""
        return sorted(self.seen)[:KNOWN_MAX]

    def merged(self, first: Knowledge | None, second: Knowledge | None) -> Knowledge:
        """Those of both."""
        return sorted({*(first or ()), *(second or ())})[:KNOWN_MAX]

    def new_run(self, run: RunView) -> None:
        """Draw who is active."""
        if not self.is_told:
            self.known = _by_kind(self.seen)
        self.run = run
        random = self.random
        seed_again(random, run.seed)
        self.in_turns = random.random() < 0.75
        self.turn = 0
        self.last = -1
        self.parents_first = random.random() < 0.5
        self.wanted = self._drawn()
        self.all_active = not self.wanted
        self.active = {}
        self.parents = set()
        self.priorities.clear()
        self.told.new_run()
        self.chosen = -1
        self.passed_over = 0

    def _drawn(self) -> set[str]:
        random = self.random
        candidates = sum(map(len, self.known))
        count = 2
        while count < candidates and random.random() < 0.5:
            count += 1
        drawn: set[str] = set()
        while len(drawn) < min(count, candidates):
            drawn.add(random.choice(random.choice(self.known)))
        return drawn

    def _meet(self, task: int) -> None:
        path = self.run.path_of(task)
        self.seen.add(path)
        is_active = self.all_active or path in self.wanted or path.startswith("<")
        if any(other.startswith(f"{path}/") for other in self.wanted):
            self.parents.add(task)
            is_active = True
        self.active[task] = is_active
        self.wanted.discard(path)

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The index of an active task if one can run."""
        active, told = self.active, self.told
        arrived = None if told.are_few(runnable) else told.since_last(runnable, self.chosen)
        for task in runnable if arrived is None else arrived:
            if task not in active:
                self._meet(task)
        if self.all_active:
            chosen = self._among(runnable)
        else:
            self._sort(runnable, arrived)
            chosen = self._by_activity(runnable)
        self.chosen = chosen
        return place_in(runnable, chosen)

    def _sort(self, runnable: Sequence[int], arrived: Sequence[int] | None) -> None:
        """Sort the runnable tasks into active ones and background."""
        active, able, background = self.active, self.able, self.background
        if arrived is not None:
            if place_in(runnable, self.chosen) < 0:  # the one that was chosen has left
                background.discard(self.chosen)
                if (place := place_in(able, self.chosen)) >= 0:
                    del able[place]
            for task in arrived:
                if not active[task]:
                    self._to_background(task)
                elif place_in(able, task) < 0:
                    insort(able, task)
        if arrived is None or len(able) + len(background) != len(runnable):  # another one was stepped
            self.able = [task for task in runnable if active[task]]
            self.background = {task for task in runnable if not active[task]}
            self.order.make(task for task in self.background if task in self.priorities)
            self.undrawn = {task for task in self.background if task not in self.priorities}

    def _to_background(self, task: int) -> None:
        self.background.add(task)
        if task in self.priorities:
            self.order.push(task)
        else:
            self.undrawn.add(task)

    def _by_activity(self, runnable: Sequence[int]) -> int:
        able, parents = self.able, self.parents
        if self.parents_first and parents:
            if self.wanted:
                able = sorted(task for task in parents if place_in(able, task) >= 0) or able
            else:  # all are there
                self.able = [task for task in able if task not in parents]
                for task in parents:
                    self.active[task] = False
                    if place_in(runnable, task) >= 0:
                        self._to_background(task)
                parents.clear()
                able = self.able or able
        if len(able) < len(runnable):
            if not able:
                return self._from_background(runnable)
            self.passed_over += 1
            if self.passed_over > PATIENCE and self.background:
                self.passed_over = 0
                joining = self._from_background(runnable)
                self.active[joining] = True
                self.background.discard(joining)
                self.order.drop(joining)
                insort(self.able, joining)
                return joining
        return self._among(able)

    def _among(self, able: Sequence[int]) -> int:
        """One of these tasks: the one whose turn it is, or by chance."""
        random = self.random.random
        if not self.in_turns:
            return able[int(random() * len(able))]
        self.turn -= 1
        here = place_in(able, self.last)
        if here >= 0:
            if self.turn > 0:
                return self.last
            if len(able) > 1:  # another one
                place = int(random() * (len(able) - 1))
                self.last = able[place + (place >= here)]
                self.turn = int(TURN_MAX ** random())
                return self.last
        self.last = able[int(random() * len(able))]
        self.turn = int(TURN_MAX ** random())
        return self.last

    def _from_background(self, runnable: Sequence[int]) -> int:
        priorities = self.priorities
        for task in sorted(task for task in self.undrawn if task in self.background):
            priorities[task] = self.random.random()
            self.order.push(task)
        self.undrawn.clear()
        return self.order.top(runnable)


def _by_kind(paths: Iterable[str]) -> list[list[str]]:
    """Candidates grouped by kind, in an order that is the same in every process."""
    known = set(paths)
    parents = {path[: at.start()] for path in known for at in _SLASH.finditer(path)}
    kinds: dict[str, list[str]] = {}
    for path in sorted(known - parents):
        if not path.startswith("<"):
            kinds.setdefault(_NUMBER.sub("", path), []).append(path)
    return list(kinds.values())
