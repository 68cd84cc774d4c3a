"""Preemption-bounded search: every schedule with at most so many preemptions, those with fewer first.

A *preemption* takes a task off that could have gone on. Switches where the running task blocked or ended are free, so
even with no preemption every order of such switches is explored. Most bugs need one or two preemptions, and the number
of schedules with ``c`` of them is polynomial in the length of the run, where the number of all is exponential.

Source: Musuvathi and Qadeer, "Iterative context bounding for systematic testing of multithreaded programs", PLDI 2007,
algorithm 1: work items that need one more preemption are put off until all with fewer are done. Departures. Programs
are not stateful here, so an item is a prefix of choices that is run again from the start, and no state is cached.
With ``preemptions=None`` nothing is put off: plain depth-first search through all interleavings. A task that was
chosen ``PATIENCE`` times in a row though others could run gives way to the next one, not counted and not branched
over, so that a loop that polls ends (their fair search is that of PLDI 2008, which needs yields to be declared); the
bound says so if it happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from detrun_scheduler.choices import KeyedDraws, RunView
from detrun_scheduler.strategies.campaigns import unrepeatable

PATIENCE = 200


@dataclass(slots=True)
class _Branch:
    """A choice that is being searched: what to take now, and what is left to take later."""

    runnable: int  # how many tasks could run, to notice a program that does not repeat itself
    taken: int
    left: list[int]


class PreemptionBounded(KeyedDraws):
    """All schedules with at most ``preemptions`` preemptions, or all there are.

    Args:
        preemptions: the bound, at least 0; None for all interleavings.
    """

    def __init__(self, preemptions: int | None = 2) -> None:
        assert preemptions is None or preemptions >= 0
        self.preemptions = preemptions
        self.redundant = 0
        self.level = 0  # preemptions in the schedules run now
        self.begun = False
        self.given: list[int] = []  # the prefix of the current work item
        self.branches: list[_Branch] = []  # below the prefix
        # Work items, a choice each: the schedule that met it, how far to follow it, and what to choose then.
        self.items: list[tuple[list[int], int, int]] = []
        self.put_off: list[tuple[list[int], int, int]] = []
        self.made: list[int] = []  # the choices of this run
        self.met: list[tuple[int, int, int]] = []  # preemptions passed over: position, runnable, current's index
        self.beyond = False  # some item needs more preemptions than the bound
        self.impatient = False
        self.depth = 0  # branches passed in this run
        self.replayed = 0  # branches that were there when it began
        self.streak = 0  # choices in a row that fell on the same task
        self.last = -1

    # The search.

    def advance(self) -> bool:
        """Go on to the next schedule."""
        if not self.begun:
            self.begun = True
            return True
        if len(self.made) < len(self.given) or self.depth < self.replayed:
            raise unrepeatable(len(self.made))  # it ended before it had come to what was new
        for position, runnable, current in self.met:
            self.put_off += [(self.made, position, index) for index in range(runnable) if index != current]
        self.met = []
        while self.branches:
            last = self.branches[-1]
            if last.left:
                last.taken = last.left.pop(0)
                return True
            self.branches.pop()
        while not self.items:
            if not self.put_off:
                return False
            if self.preemptions is not None and self.level >= self.preemptions:
                self.beyond = True
                return False
            self.level += 1
            self.items, self.put_off = self.put_off[::-1], []
        made, position, index = self.items.pop()
        self.given = [*made[:position], index]
        return True

    def bound(self) -> str:
        """What has been covered."""
        if self.preemptions is None or not self.beyond:
            what = "all interleavings"
        else:
            what = f"all schedules with at most {self.preemptions} preemption{'' if self.preemptions == 1 else 's'}"
        if self.impatient:
            what += f" in which no task is chosen more than {PATIENCE} times in a row while others could run"
        return what

    # One run.

    def new_run(self, run: RunView) -> None:
        """Follow the prefix and the branches from the start."""
        self.made = []
        self.met = []
        self.depth = self.streak = 0
        self.replayed = len(self.branches)
        self.last = -1

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The next choice of the schedule being searched."""
        position = len(self.made)
        here = runnable.index(current) if current in runnable else -1
        waiting = here >= 0 and current == self.last
        self.streak = self.streak + 1 if waiting else 1
        if position < len(self.given):
            index = self.given[position]
            if index >= len(runnable):
                raise unrepeatable(position)
        elif self.streak > PATIENCE:
            self.impatient = True
            index = (here + 1) % len(runnable)
        elif here >= 0 and self.preemptions is not None:
            if self.depth >= self.replayed:  # else an earlier schedule of this item has met it
                self.met.append((position, len(runnable), here))
            index = here
        else:
            index = self._branch(len(runnable), here)
        if runnable[index] != current:
            self.streak = 1
        self.last = runnable[index]
        self.made.append(index)
        return index

    def _branch(self, runnable: int, here: int) -> int:
        if self.depth == len(self.branches):
            first = max(here, 0)
            self.branches.append(_Branch(runnable, first, [index for index in range(runnable) if index != first]))
        branch = self.branches[self.depth]
        if branch.runnable != runnable:
            raise unrepeatable(len(self.made))
        self.depth += 1
        return branch.taken
