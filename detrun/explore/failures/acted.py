"""What a run did by itself before a step of a narrated schedule: whose timers fired, or what the collector ran.

A timer is named by the place in the program that set it: where the cancel scope was opened, or where the task sleeps. A
collection is named by the finalizers and callbacks that it entered, of those written in Python.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import trio

from detrun_scheduler.acting import collect
from detrun_scheduler.choices import FIRE
from detrun_scheduler.footprints.footprints import Key
from detrun_scheduler.footprints.marks import name_of
from detrun_scheduler.user_code import is_own_file

ENTERED_MAX = 3


@dataclass(frozen=True, slots=True)
class FiredTimer:
    """A timer that fired.

    Attributes:
        task: the path of the task that slept or waited; empty for a time-out.
        scope: of a time-out, the key of its cancel scope.
    """

    task: str
    scope: Key | None = None

    def __str__(self) -> str:
        if self.task:
            return f"the timer of {self.task} fires"
        return "something is due" if self.scope is None else "a time-out strikes"


@dataclass(slots=True)
class Acted:
    """One action.

    Attributes:
        kind: `FIRE` or `COLLECT`.
        time: of an early timer, what the clock shows then, in virtual seconds.
        entered: by a collection, functions with the place of their definition.
    """

    kind: int
    time: float = 0.0
    timers: tuple[FiredTimer, ...] = ()
    entered: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        if self.kind == FIRE:
            whose = ", ".join(dict.fromkeys(map(str, self.timers)))
            return f"time passes{f': {whose}' if whose else ''} ({self.time:.9g} s)"
        entered = list(dict.fromkeys(self.entered))
        more = f" and {len(entered) - ENTERED_MAX} more" if len(entered) > ENTERED_MAX else ""
        into = f" and enters {', '.join(entered[:ENTERED_MAX])}{more}" if entered else ""
        return f"the garbage collector runs{into}"


def next_timers(run: Any, path_of: Callable[[int], str]) -> Acted:
    """The early timer that comes next; a run has few that fire at one time."""
    timers = run.timers
    time = timers.next_time()
    fired = []
    for at, sequence, key, _ in sorted(timers.heap, key=lambda entry: entry[:2]):
        if at == time and timers.live.get(key) == sequence:
            number = run.host.numbers.get(key) if isinstance(key, trio.lowlevel.Task) else None
            if number is not None:
                fired.append(FiredTimer(path_of(number)))
            else:
                fired.append(FiredTimer("", name_of(key) if isinstance(key, trio.CancelScope) else None))
    return Acted(FIRE, time, tuple(fired))


def is_entered_by_collector(frame: FrameType) -> bool:
    """Whether a function that begins is a finalizer or a callback of a collection that the run makes."""
    if frame.f_back is None or frame.f_back.f_code is not collect.__code__:
        return False
    return not is_own_file(frame.f_code.co_filename)
