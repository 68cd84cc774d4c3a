"""Two operations of two tasks as the explanation of a failure, verified by reversing them.

Candidates are the pairs of operations of the failing run that do not commute (`operations.py`), each tested by running
the schedule with the two the other way round and everything else as near as possible (`reversal.py`). For a deadlock
they are the acquisitions of its cycle. Where no operation of the two tasks is known whose reversal passes, lines that
they ran are tried.
"""

from __future__ import annotations

from traceback import walk_tb

from detrun.explore.failures.cycles import Cycle, cycle_of
from detrun.explore.failures.explanation import Explanation, common, summary
from detrun.explore.failures.narrated_steps import Line
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.operations import LINES, pairs, pairs_of_lines
from detrun.explore.failures.reversal import Reversals, Reversed, held_back
from detrun.explore.failures.trials import Trial
from detrun_scheduler.endings import exception_leaves
from detrun_scheduler.errors import DetrunError
from detrun_scheduler.user_code import is_user_file


def decisive_cycle(reversals: Reversals, narration: Narration) -> Explanation | None:
    """The acquisitions of a deadlock's cycle."""
    error = reversals.failing.error
    cycle = None if error is None else cycle_of(exception_leaves(error)[0], narration)
    found = None if cycle is None else _verified_cycle(reversals, cycle)
    return None if found is None else _explained(reversals.failing, narration, found, cycle)


def decisive_pair(reversals: Reversals, narration: Narration) -> Explanation | None:
    """Two operations on one object."""
    error = reversals.failing.error
    candidates = pairs(narration, failing_line(error), _raised_in(error))
    found = reversals.best_verified(candidates) or reversals.best_verified(candidates, absent=True)
    return None if found is None else _explained(reversals.failing, narration, found, None)


def decisive_lines(reversals: Reversals, narration: Narration) -> Explanation | None:
    """Two lines."""
    found = reversals.best_verified(pairs_of_lines(narration))
    return None if found is None else _explained(reversals.failing, narration, found, None)


def failing_line(error: BaseException | None) -> Line | None:
    """The user's line that raised it."""
    found = None
    if error is not None:
        for frame, number in walk_tb(exception_leaves(error)[0].__traceback__):
            if is_user_file(frame.f_code.co_filename):
                found = Line(frame.f_code.co_filename, number)
    return found


def _raised_in(error: BaseException | None) -> set[Line]:
    """The lines of the program's function that raised it, if that is no check of what was done before."""
    found = set[Line]()
    leaf = None if error is None else exception_leaves(error)[0]
    if leaf is None or isinstance(leaf, AssertionError | DetrunError):
        return found
    for frame, _ in walk_tb(leaf.__traceback__):
        code = frame.f_code
        if is_user_file(code.co_filename):
            found = {Line(code.co_filename, number) for *_, number in code.co_lines() if number is not None}
    return found


def _verified_cycle(reversals: Reversals, cycle: Cycle) -> Reversed | None:
    """The last acquisition of the cycle put off until all else has gone as far as it can."""
    pair = cycle.pair
    order = reversals.failing.order
    for operation in (pair.second, pair.first):
        trial = reversals.try_order(held_back(order, operation.task, operation.step, len(order)))
        if trial is not None and trial.error is None:
            narration = reversals.narration(trial)
            if narration is not None:
                return Reversed(pair, trial, narration)
    return None


def _explained(failing: Trial, narration: Narration, found: Reversed, cycle: Cycle | None) -> Explanation:
    pair, difference = found.pair, common(failing.order, found.trial.order)
    about = f"operations on {pair.resource}" if pair.about != LINES else "lines"
    lines = [summary(failing)]
    if cycle is None:
        lines += [
            f"What matters is the order of two {about}:",
            f"  first  {pair.first}",
            f"  then   {pair.second}",
            "Verified: reversed, the run passes.",
        ]
    else:
        lines += [
            "What matters is what each holds while it waits for another:",
            f"  first  {pair.first}",
            f"  then   {pair.second}",
            *(one.line() for one in cycle.acquisitions),
            "Verified: with one of the two put off until the other task is through, the run passes.",
        ]
    resource = "" if pair.about == LINES else pair.resource
    ends = (pair.first, pair.second)
    labels = ("first", "then")
    return Explanation("\n".join(lines), ends, resource, difference, narration, found.narration, True, labels=labels)
