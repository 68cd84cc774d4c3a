"""Where a task was when it was cancelled as the explanation of a failure.

A cancellation that comes between two steps of a task, a resource taken and ``try`` say, reaches it at the place where
it waits then. No two operations decide that: what the task would have done next does not come in the failing run. So
the task goes on for a few steps before the one that cancels it. If the run passes, and the task ends at another place
or is not cancelled at all, the place is decisive. Of the steps of others between the last one of the task and its end
the latest that has to wait is the one that cancels it.
"""

from __future__ import annotations

from collections.abc import Iterator

from detrun.explore.failures.explanation import Explanation, summary, told, verified
from detrun.explore.failures.listing import code_of, shown_place
from detrun.explore.failures.narrated_steps import Line, NarratedStep
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.operations import Operation
from detrun.explore.failures.reversal import Reversals
from detrun.explore.failures.trials import Trial

CANCELLED = "cancelled"  # of `detrun_recorder.steps.ENDED`
FURTHER = (1, 2, 4)  # steps


def decisive_cancellation(reversals: Reversals, narration: Narration) -> Explanation | None:
    """The place at which a task was cancelled, where the run passes if it gets further first."""
    order = reversals.failing.order
    for ended in narration.steps:
        place = _place_of(narration, ended) if ended.ended == CANCELLED else None
        if place is None:
            continue
        for by in _between(narration, ended, place):
            for further in FURTHER:
                trial = reversals.try_order([*order[:by], *[ended.task] * further, *order[by:]])
                if trial is None:
                    return None
                passing = reversals.narration(trial) if trial.error is None else None
                if passing is not None and (other := _end_of(passing, ended.task)) != place:
                    there = Operation(ended.task, place, "is cancelled", ended.index)
                    return _explained(reversals.failing, narration, there, narration.steps[by], other, trial)
    return None


def _between(narration: Narration, ended: NarratedStep, place: Line) -> Iterator[int]:
    """The steps of others since the task came to the place, the latest first."""
    for step in reversed(narration.steps[: ended.index]):
        if step.task != ended.task:
            if step.lines:
                yield step.index
        elif step.lines not in ([], [place]):
            break


def _end_of(narration: Narration, task: str) -> Line | None:
    """Where a task was when it was cancelled; None if it was not."""
    ends = (_place_of(narration, step) for step in narration.steps if step.task == task and step.ended == CANCELLED)
    return next(ends, None)


def _place_of(narration: Narration, ended: NarratedStep) -> Line | None:
    """Where a task waited when it was cancelled: the last line of its step before; None if it has not begun."""
    before = (step for step in reversed(narration.steps[: ended.index]) if step.task == ended.task and step.lines)
    return next((step.lines[-1] for step in before), None)


def _explained(
    failing: Trial, narration: Narration, there: Operation, by: NarratedStep, other: Line | None, trial: Trial
) -> Explanation:
    cancels = Operation(by.task, _cancelling(by), "runs", by.index)
    labelled = [("where", there), ("by", cancels)]
    lines = [
        summary(failing),
        f"What matters is where {there.task} is when it is cancelled:",
        *told(narration, labelled),
    ]
    if other is None:
        lines.append(f"Verified: where {there.task} goes on first, and is not cancelled, the run passes.")
    else:
        place = f"{shown_place(other)}:  {code_of(other)}"
        lines.append(f"Verified: the run passes where {there.task} goes on first, and is cancelled at {place}")
    return verified(failing, trial, narration, lines, labelled, (cancels, there))


def _cancelling(step: NarratedStep) -> Line:
    """The line of a step that speaks of a cancellation, or the first one."""
    return next((line for line in step.lines if "cancel" in code_of(line)), step.lines[0])
