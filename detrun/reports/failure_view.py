"""Why a run failed, for a report: the failing schedule beside one that passes, turn by turn, and what decides.

The turns of the two are aligned by what they run: what they begin and end with is the same, and between that they have
the longest common subsequences of `difflib`. A turn that has no partner stands alone. Of very long schedules the last
turns are shown, and how many are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from detrun.explore.failures.listing import Row, code_of, rows_of, shown_place
from detrun.explore.failures.narration import Narration
from detrun.reports.history_view import HistoryView, history_view
from detrun.reports.source_lines import narrated_steps
from detrun_scheduler.endings import exception_leaves
from detrun_scheduler.visible import visible, visible_line

if TYPE_CHECKING:
    from detrun.explore.failures.explanation import Explanation
    from detrun.explore.failures.operations import Operation

ROWS_MAX = 2_000  # of either schedule


@dataclass(slots=True)
class FailureView:
    """What there is to say of a failure.

    Attributes:
        error: its type and message.
        why: the explanation in words; empty if there is none.
        verified: whether the other order was seen to pass.
        failing, passing: the turns of both schedules.
        left_out: how many turns of each come before those.
        cut: a sentence on the steps that have no turns, if any.
        aligned: pairs of their indices, None where a turn stands alone.
        deciding: the operations that decide: index of the failing row, task, place, what it does, the line.
        cycle: tasks that wait for each other, the first again at the end.
        blocked: of a deadlock, each task with what it waits for.
        history: of operations that are not linearizable.
        again: the command that runs it again.
        facts: what else is known of it, by name.
    """

    error: str
    why: str = ""
    verified: bool = False
    failing: list[Row] = field(default_factory=list)
    passing: list[Row] = field(default_factory=list)
    left_out: tuple[int, int] = (0, 0)
    cut: str = ""
    aligned: list[tuple[int | None, int | None]] = field(default_factory=list)
    deciding: list[tuple[int | None, str, str, str, str]] = field(default_factory=list)
    cycle: list[str] = field(default_factory=list)
    blocked: list[tuple[str, str]] = field(default_factory=list)
    history: HistoryView | None = None
    again: str = ""
    facts: dict[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "error": self.error,
            "why": self.why,
            "verified": self.verified,
            "failing": _shown(self.failing),
            "passing": _shown(self.passing),
            "leftOut": list(self.left_out),
            "cut": self.cut,
            "aligned": self.aligned,
            "deciding": self.deciding,
            "cycle": list(map(visible_line, self.cycle)),
            "blocked": [[visible_line(task), visible_line(wait)] for task, wait in self.blocked],
            "history": None if self.history is None else self.history.document(),
            "again": self.again,
            "facts": self.facts,
        }


def failure_view(
    error: BaseException, explanation: Explanation | None = None, failing: Narration | None = None, again: str = ""
) -> FailureView:
    """Of a run that raised ``error``.

    Args:
        failing: the failing schedule, where no explanation has it.
        again: the command that runs it again.
    """
    first = exception_leaves(error)[0]
    view = FailureView(visible(f"{type(first).__name__}: {first}").removesuffix(": "), again=again)
    view.cycle = list(getattr(first, "cycle", ()))
    view.blocked = [(one.path, one.waits_for) for one in getattr(first, "blocked", ())]
    view.history = history_view(getattr(first, "linearizability", None))
    if explanation is not None:
        failing = explanation.failing
        view.why, view.verified = str(explanation), explanation.verified
    if failing is not None:
        view.failing = list(rows_of(narrated_steps(failing)))
    if explanation is not None and explanation.passing is not None:
        view.passing = list(rows_of(narrated_steps(explanation.passing)))
    view.failing, view.passing, view.left_out = latest(view.failing, view.passing)
    view.aligned = aligned(view.failing, view.passing)
    if explanation is not None:
        view.deciding = [_deciding(view.failing, one) for one in explanation.places]
    return view


def latest(failing: list[Row], passing: list[Row]) -> tuple[list[Row], list[Row], tuple[int, int]]:
    """The last `ROWS_MAX` turns of each, or more of them where they begin alike, and how many come before."""
    if max(len(failing), len(passing)) <= ROWS_MAX:
        return failing, passing, (0, 0)
    alike = _alike(failing, passing)
    first = min(max(len(failing), len(passing)) - ROWS_MAX, alike) if passing else 0
    ones = max(first, len(failing) - ROWS_MAX)
    others = max(first, len(passing) - ROWS_MAX) if passing else 0
    return failing[ones:], passing[others:], (ones, others)


def aligned(first: Sequence[Row], second: Sequence[Row]) -> list[tuple[int | None, int | None]]:
    """Which turns of two schedules are the same, in an order that respects both."""
    before = _alike(first, second)
    after = _alike(first[before:][::-1], second[before:][::-1])
    ends = len(first) - after, len(second) - after
    found: list[tuple[int | None, int | None]] = [(at, at) for at in range(before)]
    ones, others = ([_key(row) for row in rows[before:end]] for rows, end in zip((first, second), ends, strict=True))
    for kind, a, b, c, d in SequenceMatcher(None, ones, others, autojunk=False).get_opcodes():
        if kind == "equal":
            found += zip(range(before + a, before + b), range(before + c, before + d), strict=True)
        else:
            found += [(before + at, None) for at in range(a, b)]
            found += [(None, before + at) for at in range(c, d)]
    found += zip(range(ends[0], len(first)), range(ends[1], len(second)), strict=True)
    return found


def _key(row: Row) -> tuple[str, tuple[str, ...]]:
    return row.task, tuple(row.lines)


def _alike(first: Sequence[Row], second: Sequence[Row]) -> int:
    """How many turns two schedules have in common at their beginning."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (one, other) in pairs if _key(one) != _key(other)), min(len(first), len(second)))


def _shown(rows: Sequence[Row]) -> list[list[Any]]:
    return [[row.first, visible_line(row.task), list(map(visible_line, row.lines))] for row in rows]


def _deciding(rows: Sequence[Row], operation: Operation) -> tuple[int | None, str, str, str, str]:
    at = None
    for index, row in enumerate(rows):
        if 0 <= row.first <= operation.step and row.task == operation.task:
            at = index
    place = "" if operation.line is None else shown_place(operation.line)
    code = "" if operation.line is None else code_of(operation.line)
    return at, visible_line(operation.task), operation.verb, visible_line(place), visible_line(code)
