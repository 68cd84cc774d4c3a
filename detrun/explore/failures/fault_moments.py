"""Moments of a planned fault: the nearest at which it would have done no harm, found by moving it in virtual time.

A *moment* lies between two instants of a run at which the program took a step, the victim if one node is struck. The
fault is moved moment by moment away from where it came, in growing strides, until the run passes, and the place where
failing turns into passing is then closed in on by halving. Between the last moment that fails and the first that passes
lies one instant: what the program did there is what the fault has to come after, or before. Everything else is as it
was: random draws are keyed by task and index, and the schedule is followed by its turns.

Up to the moved fault a run is the same as the run without the fault, so the moments after the fault are those of the
latter; the moments before it are those of the failing run.

Source of the search: galloping (Bentley and Yao, "An almost optimal algorithm for unbounded searching", 1976).
Departure: whether a run passes need not be monotonic in the moment, so that what is found is a place where it changes,
and of several likely the nearest.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from detrun.explore.failures.narration import Narration
from detrun.explore.failures.trials import Trial

STRIDES_OF_ONE = 3  # before they begin to double


@dataclass(frozen=True, slots=True)
class Boundary:
    """An instant such that the run passes if the fault is on its other side.

    Attributes:
        steps: of the run that happened at that instant, by index.
        moment: on the other side, at which the run was seen to pass; virtual seconds.
    """

    steps: tuple[int, ...]
    moment: float


def boundary_before(
    narration: Narration,
    time: float,
    moved_to: Callable[[float], Trial | None],
    victim: str = "",
    earliest: float = 0.0,
) -> Boundary | None:
    """The nearest instant before ``time`` such that the run passes with the fault ahead of it; None if there is none.

    Args:
        victim: the node whose steps count; empty: those of all.
        moved_to: the trial in which the fault, or its end, is at this virtual time; None if there is no trial left.
        earliest: no further back than this.
    """
    times = _instants(narration, victim)
    times = times[bisect_left(times, earliest) : bisect_left(times, time)]
    moments = [_between(times, at, earliest) for at in range(len(times))]
    return _boundary(narration, times[::-1], moments[::-1], moved_to)


def boundary_after(
    narration: Narration,
    time: float,
    moved_to: Callable[[float], Trial | None],
    victim: str = "",
    latest: float | None = None,
) -> Boundary | None:
    """The same after ``time``; None also where the run passes only with the fault later than ``latest``."""
    times = _instants(narration, victim)
    times = times[bisect_right(times, time) : None if latest is None else bisect_right(times, latest)]
    moments = [_between(times, at + 1) for at in range(len(times))]
    if moments and latest is not None and moments[-1] > latest:
        moments[-1] = (times[-1] + latest) / 2  # it begins before it ends
    return _boundary(narration, times, moments, moved_to)


def _instants(narration: Narration, victim: str) -> list[float]:
    return sorted({step.time for step in narration.steps if step.lines and victim in ("", step.node)})


def _between(times: Sequence[float], at: int, earliest: float = 0.0) -> float:
    """A time ahead of the instant of this index and behind the one before, or behind the earliest."""
    if at == 0:
        return (earliest + times[0]) / 2
    return times[at - 1] + 1.0 if at == len(times) else (times[at - 1] + times[at]) / 2


def _boundary(
    narration: Narration,
    instants: Sequence[float],
    moments: Sequence[float],
    moved_to: Callable[[float], Trial | None],
) -> Boundary | None:
    """The instant between failing and passing, None also if the trials end before it is known.

    Args:
        instants: away from the fault.
        moments: of each instant, one beyond it.
    """
    fails, passes = -1, len(moments)
    stride, strides, at = 1, 0, 0
    while passes - fails > 1:
        trial = moved_to(moments[at])
        if trial is None:
            return None
        if trial.error is None:
            passes = at
        else:
            fails = at
        strides += 1
        stride = stride if strides < STRIDES_OF_ONE else 2 * stride
        at = min(at + stride, len(moments) - 1) if passes == len(moments) else (fails + passes) // 2
    if passes == len(moments):
        return None
    time = instants[passes]
    return Boundary(tuple(step.index for step in narration.steps if step.time == time), moments[passes])
