"""Operations that only count: they come in any order to the same, and so explain nothing.

``self.hits += 1`` in one step and the same in another commute: whichever comes first, the sum is the same. Such marks
have the mode `COMMUTE`, so that they conflict with a read of the sum, and not with each other. And where the sum is
read by nothing but the lines that add to it, no mark of it conflicts with another.

An addition that a thread is preempted in, after its read and before its write, is in two steps: it does not commute.

Source: Weihl, "Commutativity-based concurrency control for abstract data types", IEEE ToC 1988, whose increments
commute with each other, and not with a read.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from detrun.explore.failures.functions import tree_of
from detrun.explore.failures.narrated_steps import Line, Mark, NarratedStep
from detrun_scheduler.footprints.footprints import COMMUTE, READ, WRITE, Key


def with_counts(marks: Sequence[Mark]) -> list[Mark]:
    """Those of one step; of an addition of a number, the read is left out and the change commutes."""
    modes: dict[tuple[Key, Line], set[int]] = defaultdict(set)
    for mark in marks:
        if mark.is_data and mark.line is not None and _additions(mark.line.file).get(mark.line.number):
            modes[mark.key, mark.line].add(mark.mode)
    counted = {place for place, found in modes.items() if found >= {READ, WRITE}}
    if not counted:
        return list(marks)
    return [
        mark._replace(mode=COMMUTE) if (mark.key, mark.line) in counted else mark
        for mark in marks
        if (mark.key, mark.line) not in counted or mark.mode != READ
    ]


def pass_over_unread(steps: Iterable[NarratedStep]) -> None:
    """Have the marks of sums that are read only where something is added to them commute."""
    steps = list(steps)
    modes: dict[Key, dict[Line | None, set[int]]] = defaultdict(lambda: defaultdict(set))
    for step in steps:
        for mark in step.marks:
            if mark.is_data:
                modes[mark.key][mark.line].add(mark.mode)
    unread = {
        key
        for key, lines in modes.items()
        if any(map(_is_addition, lines)) and all(_only_adds(line, found) for line, found in lines.items())
    }
    if not unread:
        return
    for step in steps:
        step.marks = [mark._replace(mode=COMMUTE) if mark.key in unread else mark for mark in step.marks]


def _is_addition(line: Line | None) -> bool:
    return line is not None and line.number in _additions(line.file)


def _only_adds(line: Line | None, modes: set[int]) -> bool:
    """Whether a line that touches something in these modes does no more than to add to it, or to set it."""
    if _is_addition(line):
        return COMMUTE in modes or modes == {READ, WRITE}
    return modes == {WRITE}


@lru_cache(maxsize=1024)
def _additions(file: str) -> Mapping[int, bool]:
    """Lines that are an addition or a subtraction in place; true for those of a number that stands there."""
    tree = tree_of(file)
    if tree is None:
        return {}
    return {
        node.lineno: isinstance(node.value, ast.Constant) and isinstance(node.value.value, int | float)
        for node in ast.walk(tree)
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add | ast.Sub) and node.lineno == node.end_lineno
    }
