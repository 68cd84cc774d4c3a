"""What showed a failure: its steps, and the operations of a history that has no legal order."""

from __future__ import annotations

from collections.abc import Sequence

from detrun.checkers.histories import Operation
from detrun.checkers.linearizability import NotLinearizableError
from detrun.explore.failures.decisive_pairs import failing_line
from detrun.explore.failures.narration import Narration
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


def illegal_operations(error: BaseException | None) -> Sequence[Operation]:
    """The least part of a history that has no legal order; empty if that is not what failed."""
    leaf = None if error is None else exception_leaves(error)[0]
    return leaf.linearizability.illegal if isinstance(leaf, NotLinearizableError) else ()


def misfits(error: BaseException | None) -> list[Operation]:
    """Those of them that the longest legal order has no place for."""
    leaf = None if error is None else exception_leaves(error)[0]
    if not isinstance(leaf, NotLinearizableError):
        return []
    found = leaf.linearizability
    return [one for one in found.illegal if one not in found.longest] or list(found.illegal)
