"""Who ran when in a run, as counts of steps in lanes over virtual time: what a timeline is drawn from.

A lane is a task, or a group of tasks whose paths begin alike, grouped no further than it takes to have few lanes. Where
no virtual time passes the steps themselves are the time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from detrun_recorder.recording import Recording

LANES_MAX = 24
BINS = 240
DEEPEST = 5  # parts of a path that a lane is told by
_NUMBER = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class Timeline:
    """Steps in lanes.

    Attributes:
        counts: by lane, in the order in which they begin; of each of `BINS` equal parts of the time.
        end: of the time, in ``unit``: virtual seconds or steps.
        faults: when faults began or ended, with their names.
    """

    counts: dict[str, list[int]]
    end: float
    unit: str
    faults: list[tuple[float, str]]


def timeline_of(recording: Recording) -> Timeline:
    """The timeline of a run."""
    steps = [(one.time, one.path) for one in recording.iter_steps()]
    faults = [
        (one.time, event.label or "fault")
        for one in recording.iter_steps()
        for event in one.events
        if event.kind == "fault"
    ]
    last = steps[-1][0] if steps else 0.0
    unit = "virtual seconds" if last > 0.0 else "steps"
    end = last if last > 0.0 else float(max(len(steps), 1))
    lane_of = _lanes(dict.fromkeys(path for _, path in steps))
    counts: dict[str, list[int]] = {}
    for index, (at, path) in enumerate(steps):
        moment = at if last > 0.0 else float(index)
        lane = counts.setdefault(lane_of[path], [0] * BINS)
        lane[min(int(moment / end * BINS), BINS - 1)] += 1
    return Timeline(counts, end, unit, faults)


def _lanes(paths: Iterable[str]) -> dict[str, str]:
    """A lane for each path."""
    paths = list(paths)
    for depth in range(DEEPEST, 0, -1):
        for numbered in (True, False):
            found = {path: _shortened(path, depth, numbered) for path in paths}
            if len(set(found.values())) <= LANES_MAX:
                return found
    return dict.fromkeys(paths, "all tasks")


def _shortened(path: str, depth: int, numbered: bool) -> str:
    parts = path.split("/")
    short = "/".join(parts[:depth])
    return short if numbered else _NUMBER.sub("[…]", short)
