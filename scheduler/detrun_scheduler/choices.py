"""Oracles, which decide runs: an oracle says which task steps next and what a random draw is.

Everything a run could do differently passes through one `Oracle`. A strategy answers from a seed, a replayer from a
recording, an explorer from a search tree; wrapping an oracle is how one watches or overrides another. The loop asks
`next_task` only where there is a choice, with the runnable task numbers in ascending (spawn) order, so that equal
runs ask equal questions.

Beside its choices a run may *act*: let the next timer fire although tasks can run, or collect garbage. When, an `Actor`
says: the oracle itself, or a plan that goes with any strategy. An action stands in the column of choices, before the
choice of the step that it precedes, as a number that no index reaches: which step, and which action. So recordings and
tokens without actions are what they always were, and those with them need no option to be replayed.

The shape follows shuttle's scheduler trait (new execution, next task, next random number). Departure: draws are
keyed by a stream and an index instead of taken from one sequence, so that a rescheduled run keeps its random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from detrun_scheduler.randomness import draw_bits

# What a run may do between two steps.
NO_ACTION = -1
FIRE = 0  # the next timer fires though tasks can run: the step before took so long
COLLECT = 1  # the next step begins with a garbage collection, in its task
# What stands before the first step of a run that may act so.
ATTENDS = 2  # threads that are preempted give way where they are alone, too, while a timer is set
COLLECTS = 3  # what exists when the run begins is out of the collector's sight
ACTION_NAMES = ("early timer", "garbage collection", "gives way alone", "may collect")

FIRST_ACTION = 1 << 32  # of the numbers that stand for actions; indices of tasks are below
_KINDS = 8


class RunView(Protocol):
    """What an oracle may ask about the run it decides."""

    @property
    def seed(self) -> int:
        """The run's seed."""

    @property
    def step_index(self) -> int:
        """Steps taken so far."""

    @property
    def current(self) -> int:
        """The number of the task being stepped, or stepped last; -1 before the first step."""

    def path_of(self, task: int) -> str:
        """The stable path of a task, ``main/worker[2]``."""

    def pending_of(self, task: int) -> str:
        """What the task will resume from: ``start``, ``checkpoint`` or a wait kind such as ``Event.wait``."""


class Oracle(Protocol):
    """Decides a run. One oracle may decide many runs, one after the other."""

    def new_run(self, run: RunView) -> None:
        """A run begins; everything seeded is seeded from ``run.seed``."""

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The index in ``runnable`` of the task to step.

        Args:
            runnable: two or more task numbers, ascending. The loop's own list, or a ``sortedcontainers.SortedList``
                where they are more than 20,000: read it, do not keep it.
            current: the task stepped last, runnable or not; -1 before the first step.
        """

    def draw(self, stream: bytes, index: int) -> int:
        """64 uniform random bits, draw ``index`` of the stream with the 32-byte key ``stream``."""


class ToldOracle(Oracle, Protocol):
    """An oracle that keeps an order of the runnable tasks, and need not look at all of them at every choice."""

    def arrivals(self) -> list[int] | None:
        """Called after `new_run`: a list to which the run adds the number of every task that becomes runnable.

        A task leaves the runnable ones by being stepped, which is not told: `next_task` sees who is there. None: this
        run has no use for it.
        """


class StepToldOracle(Oracle, Protocol):
    """An oracle that is told of every step, also of those before which there was nothing to choose."""

    def step_taken(self, run: Any) -> None:
        """The step of ``run.current``, an `ActiveRun`'s, is about to be closed: who is runnable now is known."""


class Distribution(Oracle, Protocol):
    """An oracle whose choices are random with probabilities that it can say."""

    def weights(self, runnable: Sequence[int]) -> Sequence[Any]:
        """To what the probabilities of these tasks are proportional at the choice that comes next.

        Asked just before `next_task`, or in its place, where another oracle chooses and this one only weighs. Numbers,
        or what has a number for its ``primal``.
        """


class KeyedDraws:
    """The ordinary answer to `Oracle.draw`: a function of the stream and the index alone."""

    def draw(self, stream: bytes, index: int) -> int:
        """64 uniform bits; see `detrun_scheduler.randomness.draw_bits`."""
        return draw_bits(stream, index)


class Actor(Protocol):
    """Decides when a run acts by itself.

    Attributes:
        attends: the run is to have `ATTENDS`; read once `new_run` has been called.
        collects: the run may have `COLLECT`.
    """

    attends: bool
    collects: bool

    def new_run(self, run: RunView) -> None:
        """A run begins."""

    def next_action(self, steps: int) -> float:
        """At how many steps to call `action` next, infinity for never; ``steps`` have been taken."""

    def action(self, steps: int, has_timers: bool) -> int:
        """What to do now that ``steps`` have been taken: `FIRE`, `COLLECT` or `NO_ACTION`.

        Args:
            has_timers: the next timer could fire early; where it is False `FIRE` is not allowed.
        """


def action_number(step: int, kind: int) -> int:
    """What stands in the column of choices for an action before step ``step``."""
    return FIRST_ACTION + step * _KINDS + kind


def action_of(number: int) -> tuple[int, int]:
    """The step and the kind of the action that ``number``, at least `FIRST_ACTION`, stands for."""
    return divmod(number - FIRST_ACTION, _KINDS)


class GivenActions:
    """The actions among the numbers of a schedule; an `Actor`.

    Args:
        numbers: of a column of choices, choices included.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        actions = [action_of(number) for number in numbers if number >= FIRST_ACTION]
        self.attends = any(kind == ATTENDS for _, kind in actions)
        self.collects = any(kind == COLLECTS for _, kind in actions)
        self.actions = [(step, kind) for step, kind in actions if kind in (FIRE, COLLECT)]
        self.position = 0

    def new_run(self, run: RunView) -> None:
        """Start from the first."""
        self.position = 0

    def next_action(self, steps: int) -> float:
        """The step before which the next one stands."""
        return self.actions[self.position][0] if self.position < len(self.actions) else math.inf

    def action(self, steps: int, has_timers: bool) -> int:
        """The next one, if it can be."""
        kind = self.actions[self.position][1]
        self.position += 1
        return NO_ACTION if kind == FIRE and not has_timers else kind
