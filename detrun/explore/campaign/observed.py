"""Footprints of detrun's own objects: importing this module declares them, before anything is explored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from detrun.primitives.cells import Memory
from detrun.primitives.shared import Atomic, Shared
from detrun_scheduler.footprints.watch import observe


def _one(operation: int, offset: int, content: object) -> Iterable[int]:
    return (offset,)


def _several(operation: int, offsets: Sequence[int], contents: object) -> Iterable[int]:
    return offsets


for cell in (Atomic, Shared):
    observe(cell, {"_note": None}, "_number")
# Two tasks that use different elements of a buffer do not meet.
observe(Memory, {"_note": _one, "_note_all": _several}, "number")
