"""Two recordings compared: the first step at which they differ, and what followed from it, task by task.

Up to the first difference both runs had the same tasks to choose from, so there are three kinds of it: another task was
chosen, the chosen task did something else, or one run ended. What followed is found without a replay. Each task, known
by its path, has a sequence of steps in either run; a task is *affected* from the first of its steps on that differs
from the step of the same place in the other run, in what it did or in how it ended. Steps that merely come in another
order leave their tasks unaffected, so what is listed is what the difference changed. Which tasks a step wakes is a
matter of that order (the last child wakes its parent), so it counts for the woken ones alone. Times count as what a
step did only where ``times`` is asked for: a run with another delay differs in all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, zip_longest

from detrun_recorder.recording import Recording
from detrun_recorder.steps import Event, Step


@dataclass(frozen=True, slots=True)
class Affected:
    """A task from the first step on that differs; None: the run has no such step."""

    path: str
    first: Step | None
    second: Step | None

    @property
    def time(self) -> float:
        """Virtual seconds of the earlier of the two."""
        return min(one.time for one in (self.first, self.second) if one is not None)


@dataclass(slots=True)
class Comparison:
    """What two recordings have in common, and what they do not.

    Attributes:
        common: how many steps are the same from the beginning on.
        kind: of the first difference: ``""`` for none, ``"choice"``, ``"step"`` or ``"end"``.
        first, second: the steps that differ; None where a run has ended.
        affected: tasks in the order in which they were.
        unaffected: how many tasks did the same in both.
    """

    common: int
    kind: str = ""
    first: Step | None = None
    second: Step | None = None
    affected: list[Affected] = field(default_factory=list)
    unaffected: int = 0

    @property
    def equal(self) -> bool:
        """Whether no step differs."""
        return not self.kind


def compare(first: Recording, second: Recording, *, times: bool = False) -> Comparison:
    """Compare two recordings, step by step and then task by task; about 10 µs a step.

    Args:
        times: whether a task that does the same at another virtual time counts as affected. The first difference is
            found with times in any case, since a time is part of a step's record.
    """
    pairs = zip_longest(first.iter_steps(), second.iter_steps())
    common = 0
    for one, other in pairs:
        if one is not None and other is not None and _whole(one) == _whole(other):
            common += 1
            continue
        found = Comparison(common, _kind(one, other), one, other)
        _follow(found, chain([(one, other)], pairs), times)
        return found
    return Comparison(common)


def _kind(one: Step | None, other: Step | None) -> str:
    if one is None or other is None:
        return "end"
    return "choice" if one.path != other.path else "step"


def _follow(found: Comparison, pairs: Iterator[tuple[Step | None, Step | None]], times: bool) -> None:
    """Compare the rest by tasks: each step waits for the one of the same place in the other run."""
    waiting: dict[str, deque[tuple[bool, Step]]] = {}  # by task: its steps that wait, and whether of the first run
    affected: dict[str, Affected] = {}

    def take(step: Step, is_first: bool) -> None:
        path = step.path
        queue = waiting.setdefault(path, deque())
        if path in affected:
            return
        if not queue or queue[0][0] is is_first:
            queue.append((is_first, step))
            return
        _, partner = queue.popleft()
        if _did(step, times) != _did(partner, times):
            affected[path] = Affected(path, *((step, partner) if is_first else (partner, step)))
            queue.clear()

    for one, other in pairs:
        if one is not None:
            take(one, True)
        if other is not None:
            take(other, False)
    for path, queue in waiting.items():
        if queue:
            is_first, left = queue[0]
            affected[path] = Affected(path, *((left, None) if is_first else (None, left)))
    found.affected = sorted(affected.values(), key=lambda one: (one.time, one.path))
    found.unaffected = len(waiting) - len(affected)


def _whole(step: Step) -> tuple[object, ...]:
    """All of a step that is recorded, with names in the place of numbers."""
    return step.path, len(step.runnable), step.choice, step.outcome, step.actions, tuple(map(_event, step.events))


def _did(step: Step, times: bool) -> tuple[object, ...]:
    """What the task itself did: what came between it and the next step belongs to others."""
    own: list[object] = []
    for event in step.events:
        if event.kind == "time":
            break
        if event.kind != "wake":
            own.append(_event(event))
    return (step.outcome, *own, step.time if times else None)


def _event(event: Event) -> tuple[object, ...]:
    return event.kind, event.label, event.operation, event.time, event.payload, event.place
