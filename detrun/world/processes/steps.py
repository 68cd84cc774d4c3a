"""Steps of children: the globals of a process are in place while one of its tasks takes a step.

A step may run others inside, where a task blocks its event loop, so what was in place before comes back after each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detrun.world.nodes.process import process_of

_inside: Any = None  # the globals that are in place; None: those that everything but children shares
_surrounded = -1  # serial of the run whose steps are taken here


def surround(run: Any) -> None:
    """Have the globals of processes changed with their steps, in this run."""
    global _inside, _surrounded
    if _surrounded != run.serial:
        _surrounded, _inside = run.serial, None
        run.surround_steps(_within)


def _within(task: Any, step: Callable[[Any], int]) -> int:
    global _inside
    process = process_of(task)
    before, own = _inside, None if process is None else process.globals
    if own is before:
        return step(task)
    _change(before, own)
    _inside = own
    try:
        return step(task)
    finally:
        _change(own, before)
        _inside = before


def _change(before: Any, after: Any) -> None:
    if before is not None:
        before.leave()
    if after is not None:
        after.enter()
