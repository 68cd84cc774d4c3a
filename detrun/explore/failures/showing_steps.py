"""What showed a failure: its steps, and the operations of a history that has no legal order."""

from __future__ import annotations

from collections.abc import Sequence
from traceback import walk_tb

from detrun.checkers.assertions import AssertionViolatedError
from detrun.checkers.histories import Operation as Call
from detrun.checkers.linearizability import Linearizability, NotLinearizableError
from detrun.checkers.noted import About
from detrun.checkers.serializability import NotSerializableError
from detrun.checkers.transactions import Place
from detrun.explore.failures.decisive_pairs import failing_line
from detrun.explore.failures.narrated_steps import Line, function_of
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.noted_operations import called_last, noted_line
from detrun.explore.failures.operations import Operation
from detrun_scheduler.endings import exception_leaves


def showing_steps(narration: Narration, error: BaseException | None) -> list[int]:
    """The last step that failed, or those that returned what has no place in a legal order."""
    steps = [one.step_returned for one in misfits(error) if one.step_returned is not None]
    if steps:
        return [step for step in steps if step < len(narration.steps)]
    line = failing_line(error)
    ran = [at for at, step in enumerate(narration.steps) if line in step.lines]
    failed = [at for at, step in enumerate(narration.steps) if step.ended == "failed" and step.lines]
    return ran[-1:] or failed[:1] or [len(narration.steps) - 1]


def failing_operation(narration: Narration, error: BaseException | None) -> Operation | None:
    """Of the lines that the failure came through, the one that fewest steps run, of such the outermost.

    A check is called by what it checks, and that by what everything goes through; a line that no other step runs is the
    check's own, for what it does where it fails. None where no step ran such a line, and of a history: the check of it
    comes afterwards.
    """
    leaf = None if error is None else exception_leaves(error)[0]
    if leaf is None or illegal_operations(error):
        return None
    wrapped = _checked_from_around(narration, error)
    if wrapped is not None:
        return wrapped
    came_through = [Line(frame.f_code.co_filename, number) for frame, number in walk_tb(leaf.__traceback__)]
    at = showing_steps(narration, error)[-1]
    step = narration.steps[at]
    ran = narration.line_counts()
    lines = [one for one in came_through if one in step.lines]
    line = min(lines, key=lambda one: (ran[one] == 1, ran[one]), default=None)
    return None if line is None else Operation(step.task, line, "runs", at)


def _checked_from_around(narration: Narration, error: BaseException | None) -> Operation | None:
    """Of a check in a method that first calls the one it overrides, the line of the latter; None of others.

    The overridden method has returned, so that the failure does not come through it.
    """
    line, at = failing_line(error), showing_steps(narration, error)[-1]
    if line is None:
        return None
    called = called_last(narration, Place(at, line.file, line.number))
    if called is None or function_of(called)[1].rpartition(".")[2] != function_of(line)[1].rpartition(".")[2]:
        return None
    return Operation(narration.steps[at].task, called, "runs", at)


def false_check(error: BaseException | None) -> object:
    """What a check has found, of a history say, that the run failed by; None if it failed by something else."""
    match None if error is None else exception_leaves(error)[0]:
        case NotLinearizableError() as leaf:
            return leaf.linearizability
        case NotSerializableError() as leaf:
            return leaf.serializability
        case AssertionViolatedError() as leaf:
            return leaf.condition
    return None


def noted_by_check(narration: Narration, error: BaseException | None) -> list[tuple[str, Operation]]:
    """The operations that a false check says it is about, by what it calls them."""
    found = false_check(error)
    if not isinstance(found, About):
        return []
    return [
        (label, Operation(narration.steps[place.step].task, noted_line(narration, place), "runs", place.step))
        for label, place in found.operations
        if place.step < len(narration.steps)
    ]


def illegal_operations(error: BaseException | None) -> Sequence[Call]:
    """The least part of a history that has no legal order; empty if that is not what failed."""
    found = _linearizability(error)
    return () if found is None else found.illegal


def misfits(error: BaseException | None) -> list[Call]:
    """Those of them that the longest legal order has no place for."""
    found = _linearizability(error)
    if found is None:
        return []
    return [one for one in found.illegal if one not in found.longest] or list(found.illegal)


def _linearizability(error: BaseException | None) -> Linearizability | None:
    """Of a history that has no legal order; None if that is not what failed."""
    found = false_check(error)
    return found if isinstance(found, Linearizability) else None
