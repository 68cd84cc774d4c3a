"""The cycle of a deadlock as operations: who took what each of the others waits for.

A deadlock report says which task waits for which. The narration says at which line each task that is waited for took
the object, and at which line the other asked for it. The pair is the last two of these acquisitions: if the second
comes after the first task is through, both tasks go on.
"""

from __future__ import annotations

from dataclasses import dataclass

from detrun.explore.failures.listing import code_of, shown_place
from detrun.explore.failures.narrated_steps import Line, Mark
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.operations import PRIMITIVE, Operation, Pair
from detrun_scheduler.errors import DeadlockError


@dataclass(frozen=True, slots=True)
class Acquisition:
    """A task took an object that another then waited for."""

    taken: Operation
    resource: str
    waiting: Operation  # of the other task

    def line(self) -> str:
        """What an explanation says of it."""
        text = f"  {self.waiting.task} waits for {self.resource} of {self.taken.task}"
        line = self.waiting.line
        return text if line is None else f"{text} at {shown_place(line)}:  {code_of(line)}"


@dataclass(frozen=True, slots=True)
class Cycle:
    """The acquisitions of a deadlock, in the order in which they happened."""

    acquisitions: tuple[Acquisition, ...]

    @property
    def pair(self) -> Pair:
        """The last two."""
        first, second = self.acquisitions[-2:]
        resources = " and ".join(dict.fromkeys((first.resource, second.resource)))
        return Pair(first.taken, second.taken, PRIMITIVE, resources)


def cycle_of(error: BaseException, narration: Narration) -> Cycle | None:
    """The acquisitions that make the cycle of a deadlock, None if there is none or not all of them were seen."""
    if not isinstance(error, DeadlockError) or len(error.cycle) < 3:
        return None
    found: list[Acquisition] = []
    for waiter, holder in zip(error.cycle, error.cycle[1:], strict=False):
        waiting = _last_wait(narration, waiter)
        if waiting is None:
            return None
        mark, step = waiting
        taken = _acquired(narration, holder, mark)
        if taken is None:
            return None
        waits = Operation(waiter, _line_of_wait(narration, waiter) or mark.line, mark.verb, step)
        found.append(Acquisition(taken, narration.name_of(mark.key), waits))
    return Cycle(tuple(sorted(found, key=lambda one: one.taken.step)))


def _last_wait(narration: Narration, task: str) -> tuple[Mark, int] | None:
    for at in range(len(narration.steps) - 1, -1, -1):
        step = narration.steps[at]
        if step.task == task:
            named = [mark for mark in step.marks if mark.line is not None and not mark.is_data]
            named = [mark for mark in named if narration.name_of(mark.key)]
            if named:
                return named[-1], at
    return None


def _line_of_wait(narration: Narration, task: str) -> Line | None:
    last = next((step for step in reversed(narration.steps) if step.task == task), None)
    return last.lines[-1] if last is not None and last.lines else None


def _acquired(narration: Narration, task: str, waited: Mark) -> Operation | None:
    """Where a task took what another waits for: the last time it did something to it."""
    for at in range(len(narration.steps) - 1, -1, -1):
        step = narration.steps[at]
        if step.task == task:
            for mark in reversed(step.marks):
                if mark.key == waited.key and mark.line is not None:
                    return Operation(task, mark.line, mark.verb, at)
    return None
