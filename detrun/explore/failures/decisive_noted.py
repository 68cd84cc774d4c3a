"""When the operations come that a false check names, as the explanation of a failure.

A check may say which operations it is about (`About`). Where two tasks do them at one virtual time, the scheduler
decides which comes first: the task of the first is put off until that of the last is through, or the other way round
(`put_off.py`). If the run passes, they are named as the check names them, whatever else the two tasks have in common.

Where all that happens to an object is done by one task, an event loop for example, no switch of tasks reverses two of
them, and what the task reads and changes says little: it reads and changes everything. What decides is when others
handed it the work.

So the first of the operations that are named is made to come after the last, or the last before the first: a message,
sleep or time-out is moved that another task went on with before it, the latest first. If the run passes, or goes on to
a later failure, the moment is narrowed down (`retiming.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

from detrun.explore.failures.decisive_order import OrderSearch, what_moved
from detrun.explore.failures.explanation import Explanation, summary, told, verified
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.occurrences import Occurrence
from detrun.explore.failures.operations import Operation
from detrun.explore.failures.put_off import passing_put_off
from detrun.explore.failures.retiming import INSTANT
from detrun.explore.failures.reversal import Reversals
from detrun.explore.failures.showing_steps import noted_by_check
from detrun.explore.failures.trials import Trial

NEAR_MAX = 12  # occurrences before an operation that are tried


def decisive_noted_pair(reversals: Reversals, narration: Narration) -> Explanation | None:
    """Operations of two tasks at one time that a check names, of which one came too soon."""
    failing = reversals.failing
    noted = _in_order(narration, failing)
    if len(noted) < 2:
        return None
    (_, first), (_, last) = noted[0], noted[-1]
    if first.task == last.task or narration.steps[first.step].time != narration.steps[last.step].time:
        return None
    for late, other in ((first, last), (last, first)):
        trial = passing_put_off(reversals, narration, late.step, [other.task])
        if trial is not None:
            lines = [
                summary(failing),
                "What matters is the order of the operations that the check names:",
                *told(narration, noted),
                f"Verified: with {late.task} put off there until {other.task} is through, the run passes.",
            ]
            return verified(failing, trial, narration, lines, noted, (first, last))
    return None


def decisive_noted(reversals: Reversals, narration: Narration) -> Explanation | None:
    """Two or more operations of one task that a check names, and what was moved so that they come at other times."""
    noted = _in_order(narration, reversals.failing)
    if len(noted) < 2 or len({operation.task for _, operation in noted}) > 1:
        return None
    (_, first), (_, last) = noted[0], noted[-1]
    if narration.steps[first.step].time == narration.steps[last.step].time:
        return None
    search = OrderSearch.of(reversals, narration, comes_again=True)
    if search is None:
        return None
    for moved, at in _ways(search, first, last):
        swap = search.moved_to(moved, at)
        if swap is not None:
            lines = [
                summary(reversals.failing),
                "What matters is when the operations come that the check names:",
                *told(narration, noted),
                *what_moved(narration, swap, "the run would have gone on"),
            ]
            return verified(reversals.failing, swap.passing.trial, narration, lines, noted, (first, last))
    return None


def _in_order(narration: Narration, failing: Trial) -> list[tuple[str, Operation]]:
    """The operations that the check names, as they happened."""
    return sorted(noted_by_check(narration, failing.error), key=lambda one: one[1].step)


def _ways(search: OrderSearch, first: Operation, last: Operation) -> Iterator[tuple[Occurrence, float]]:
    """What may be moved, and to which moment."""
    times = search.base.timeline.times
    for one in _handed_in(search, first):
        yield one, times[last.step] + INSTANT
    for one in _handed_in(search, last):
        if one.set_at < times[first.step] - INSTANT < one.due:
            yield one, times[first.step] - INSTANT


def _handed_in(search: OrderSearch, operation: Operation) -> list[Occurrence]:
    """What other tasks went on with before an operation, the latest first."""
    steps = search.narration.steps
    before = [
        one
        for one in search.base.timeline.fired
        if 0 <= one.handled_in <= operation.step and steps[one.handled_in].task != operation.task
    ]
    return before[: -NEAR_MAX - 1 : -1]
