"""Two recordings compared: the first step at which they differ, and what followed from it, task by task.

Up to the first difference both runs had the same tasks to choose from, so there are three kinds of it: another task was
chosen, the chosen task did something else, or one run ended. What followed is found without a replay. Each task, known
by its path, has a sequence of steps in either run; a task is *affected* from the first of its steps on that differs
from the step of the same place in the other run, in what it did, in whose messages it received, or in how it ended.
Steps that merely come in another order leave their tasks unaffected, so what is listed is what the difference changed.
Which tasks a step wakes is a matter of that order (the last child wakes its parent), so it counts for the woken ones
alone. Times count as what a step did only where ``times`` is asked for: a run with another delay differs in all of
them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import NamedTuple

from detrun_recorder.causes import Causes, always
from detrun_recorder.recording import Recording
from detrun_recorder.steps import Event, Step


@dataclass(frozen=True, slots=True)
class Affected:
    """A task from the first step on that differs; None: the run has no such step.

    Attributes:
        sources: of either step: the channels of the messages that it received, and the tasks that sent them.
    """

    path: str
    first: Step | None
    second: Step | None
    sources: tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]] = ((), ())

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
    pairs = zip_longest(_taken(first), _taken(second))
    common = 0
    for one, other in pairs:
        if one is not None and other is not None and _whole(one.step) == _whole(other.step):
            common += 1
            continue
        steps = None if one is None else one.step, None if other is None else other.step
        found = Comparison(common, _kind(*steps), *steps)
        _follow(found, chain([(one, other)], pairs), times)
        return found
    return Comparison(common)


class _Taken(NamedTuple):
    """A step with the messages that it received: channel, sender, and in which of the sender's steps it was sent."""

    step: Step
    received: tuple[tuple[str, str, int], ...]

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        return tuple((label, path) for label, path, _ in self.received)


def _taken(recording: Recording) -> Iterator[_Taken]:
    causes = Causes[tuple[str, int]]()
    counts: Counter[str] = Counter()  # of steps, by task
    for step in recording.iter_steps():
        place = step.path, counts[step.path]
        counts[step.path] += 1
        reached = causes.take(step, always(place))
        received = [one for one in reached.causes if one.kind == "message"]
        # Of what the network sends after a step, that step's task says nothing.
        yield _Taken(step, tuple((one.label, *(("", 0) if one.is_between else one.begun)) for one in received))


def _kind(one: Step | None, other: Step | None) -> str:
    if one is None or other is None:
        return "end"
    return "choice" if one.path != other.path else "step"


def _follow(found: Comparison, pairs: Iterator[tuple[_Taken | None, _Taken | None]], times: bool) -> None:
    """Compare the rest by tasks: each step waits for the one of the same place in the other run."""
    waiting: dict[str, deque[tuple[bool, _Taken]]] = {}  # by task: its steps that wait, and whether of the first run
    affected: dict[str, Affected] = {}

    def take(step: _Taken, is_first: bool) -> None:
        path = step.step.path
        queue = waiting.setdefault(path, deque())
        if path in affected:
            return
        if not queue or queue[0][0] is is_first:
            queue.append((is_first, step))
            return
        _, partner = queue.popleft()
        if _did(step, times) != _did(partner, times):
            one, other = (step, partner) if is_first else (partner, step)
            affected[path] = Affected(path, one.step, other.step, (one.sources, other.sources))
            queue.clear()

    for one, other in pairs:
        if one is not None:
            take(one, True)
        if other is not None:
            take(other, False)
    for path, queue in waiting.items():
        if queue:
            is_first, left = queue[0]
            affected[path] = (
                Affected(path, left.step, None, (left.sources, ()))
                if is_first
                else Affected(path, None, left.step, ((), left.sources))
            )
    found.affected = sorted(affected.values(), key=lambda one: (one.time, one.path))
    found.unaffected = len(waiting) - len(affected)


def _whole(step: Step) -> tuple[object, ...]:
    """All of a step that is recorded, with names in the place of numbers."""
    return step.path, len(step.runnable), step.choice, step.outcome, step.actions, tuple(map(_event, step.events))


def _did(taken: _Taken, times: bool) -> tuple[object, ...]:
    """What the task itself did: what came between it and the next step belongs to others."""
    own: list[object] = []
    for event in taken.step.events:
        if event.kind == "time":
            break
        if event.kind != "wake":
            own.append(_event(event)[:-1])
    return (taken.step.outcome, taken.received, *own, taken.step.time if times else None)


def _event(event: Event) -> tuple[object, ...]:
    return event.kind, event.label, event.operation, event.time, event.payload, event.place
