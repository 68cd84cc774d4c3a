"""A task put off where it did something, until others are through: what was done then came too soon.

The task is held back at this step, or at the beginning of its turn and of turns before, as it may hold there what the
others need. No choice of the scheduler puts it off for as long as virtual time has to pass. So what it went on with
last, a message or a timer, comes after the end of the failing run, or much later; for a task that has gone on with
none, as the session of a new connection, what the task went on with that made it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from detrun.explore.failures.narration import Narration
from detrun.explore.failures.occurrences import Occurrence, Timeline
from detrun.explore.failures.retiming import INSTANT, Retimings
from detrun.explore.failures.reversal import FAR, TURNS_BACK, Reversals, held_back, turn_before
from detrun.explore.failures.trials import Trial

LONGER = 4  # times the seconds of the failing run


@dataclass(frozen=True, slots=True)
class PutOff:
    """A run with the task put off.

    Attributes:
        ended: of a run in which what it went on with came after the end of the failing run, when it ended, in virtual
            seconds; None where the order of steps put it off.
    """

    trial: Trial
    ended: float | None = None


def passing_put_off(reversals: Reversals, narration: Narration, step: int, ahead: Sequence[str] = ()) -> Trial | None:
    """The first trial that passes with the task of a step put off from there on; None if there is none.

    Args:
        ahead: tasks that go as far as they can meanwhile, beyond what they did in the failing run.
    """
    runs = put_off(reversals, narration, step, ahead)
    return next((one.trial for one in runs if one.trial.error is None), None)


def put_off(reversals: Reversals, narration: Narration, step: int, ahead: Sequence[str] = ()) -> Iterator[PutOff]:
    """Runs with the task of a step put off from there on; see `passing_put_off`."""
    order, task = reversals.failing.order, narration.steps[step].task
    longer = [*order, *(one for one in ahead for _ in range(FAR))]
    at = step
    for _ in range(1 + TURNS_BACK):
        trial = reversals.try_order(held_back(longer, task, at, len(longer)))
        if trial is None:
            return
        yield PutOff(trial)
        at = turn_before(order, task, at)
        if at < 0:
            break
    retimings = Retimings.of(reversals, narration)
    if retimings is None:
        return
    last, end = _went_on_with(narration, retimings.base.timeline, step), narration.steps[-1].time
    if last is None:
        return
    # Those that are to be through may need longer than the failing run has taken.
    for later in (INSTANT, *((end, LONGER * end) if ahead else ())):
        found = retimings.at({last.number: end + later})
        if found is not None:
            yield PutOff(found.trial, found.ends_at)


def _went_on_with(narration: Narration, timeline: Timeline, step: int) -> Occurrence | None:
    """The last occurrence that the task of a step had gone on with by then, or else the one that made it, and so on."""
    handled = {one.handled_in: one for one in timeline.fired}
    task = narration.steps[step].task
    for at in range(step, -1, -1):
        if at == narration.spawned.get(task, -1):
            task = narration.steps[at].task
        if narration.steps[at].task == task and at in handled:
            return handled[at]
    return None
