"""A task put off where it did something, until others are through: what was done then came too soon.

The task is held back at this step, or at the beginning of its turn and of turns before, as it may hold there what the
others need. No choice of the scheduler puts it off for as long as virtual time has to pass. So what it went on with
last, a message or a timer, comes after the end of the failing run, or much later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from detrun.explore.failures.narration import Narration
from detrun.explore.failures.retiming import INSTANT, Retimings
from detrun.explore.failures.reversal import FAR, TURNS_BACK, Reversals, held_back, turn_before
from detrun.explore.failures.trials import Trial

LONGER = 4  # times the seconds of the failing run


def passing_put_off(reversals: Reversals, narration: Narration, step: int, ahead: Sequence[str] = ()) -> Trial | None:
    """The first trial that passes with the task of a step put off from there on; None if there is none.

    Args:
        ahead: tasks that go as far as they can meanwhile, beyond what they did in the failing run.
    """
    return next((trial for trial in _put_off(reversals, narration, step, ahead) if trial.error is None), None)


def _put_off(reversals: Reversals, narration: Narration, step: int, ahead: Sequence[str]) -> Iterator[Trial]:
    order, task = reversals.failing.order, narration.steps[step].task
    longer = [*order, *(one for one in ahead for _ in range(FAR))]
    at = step
    for _ in range(1 + TURNS_BACK):
        trial = reversals.try_order(held_back(longer, task, at, len(longer)))
        if trial is None:
            return
        yield trial
        at = turn_before(order, task, at)
        if at < 0:
            break
    retimings = Retimings.of(reversals, narration)
    if retimings is None:
        return
    handled = [one for one in retimings.base.timeline.fired if 0 <= one.handled_in <= step]
    handled = [one for one in handled if narration.steps[one.handled_in].task == task]
    if not handled:
        return
    last, end = max(handled, key=lambda one: one.handled_in), narration.steps[-1].time
    # Those that are to be through may need longer than the failing run has taken.
    for later in (INSTANT, *((end, LONGER * end) if ahead else ())):
        found = retimings.at({last.number: end + later})
        if found is not None:
            yield found.trial
