"""The footprint of a step: the objects that it touched and how, and the rule by which two footprints conflict.

Two steps of different tasks are *dependent* if their footprints share a key on which they conflict; otherwise swapping
them, where they are neighbours, changes nothing. A read conflicts with a write, a write with everything, and marks of
kind `COMMUTE` (the end of a nursery's child) not with each other. A step that cannot be understood
conflicts with every other (`EVERYTHING`): one that waits in, or wakes, a primitive of the user's own making.

`marks.py` marks steps and names objects, `watch.py` lists the operations of classes that make marks, and `steps.py`
turns the marks into a footprint when the step closes.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeAlias

from detrun_scheduler.journal import OPERATIONS

Key: TypeAlias = Hashable
Footprint: TypeAlias = dict[Key, int]

READ, COMMUTE, WRITE = 0, 1, 2
EVERYTHING: Key = "everything"

# Waiting for a lock only looks at it: the release wakes all who wait, in whatever order they came.
READING = frozenset(OPERATIONS.index(name) for name in ("load", "read", "compare_exchange_failed", "wait"))


def conflict(first: Footprint, second: Footprint) -> bool:
    """Whether steps with these footprints are dependent."""
    if EVERYTHING in first or EVERYTHING in second:
        return True
    if len(first) > len(second):
        first, second = second, first
    for key, mode in first.items():
        other = second.get(key)
        if other is not None and modes_conflict(mode, other):
            return True
    return False


def modes_conflict(first: int, second: int) -> bool:
    """Whether touching one object in these two ways does not commute."""
    return first == WRITE or second == WRITE or first != second
