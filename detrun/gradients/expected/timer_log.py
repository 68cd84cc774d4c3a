"""The races of a run: at each timer that fired, which others were waiting, and what time it was.

Every pass of a comparison is noted where it is made. Which of several timers fires first is decided when the first of
them does, whatever becomes of the others; so here each timer is kept with its number, and `decisions` finds the races.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Any

from detrun.ad import state
from detrun.ad.sites import CONSTANT
from detrun.ad.source_lines import nearest_user_line, shown
from detrun.ad.value import Value, primal_of
from detrun.gradients.timing import TimingSites
from detrun_scheduler.clock import TimerHeap

TIMING = frozenset({"timer order", "late timer", "timeout"})


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time as the tape has it.

    Attributes:
        time: seconds.
        id: of the `Value` on the tape; `CONSTANT` for a number.
    """

    time: float
    id: int

    @classmethod
    def of(cls, moment: Any) -> Moment:
        """The `Value` or the number."""
        return cls(float(primal_of(moment)), moment.id if isinstance(moment, Value) else CONSTANT)


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer that was set in the run.

    Attributes:
        deadline: when it was due.
        line: that waited for it, if it is one of the program's.
    """

    deadline: Moment
    line: str | None


@dataclass(frozen=True, slots=True)
class TimerEvent:
    """A timer fired, or was taken back.

    Attributes:
        sequence: number of the timer; -1 for one that was taken back as it was about to fire.
        fired: or taken back.
        newest: the number of the last timer that had been set.
        now: the time before.
    """

    sequence: int
    fired: bool
    newest: int
    now: Moment


class TimerLog(TimingSites):
    """Notes the margins that `TimingSites` does, and the events with their timers.

    Attributes:
        events: into which the events go, between the passes of comparisons.
        timers: by number, those that fired, were taken back, or are left when the run ends.
    """

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []
        self.timers: dict[int, Timer] = {}
        self.heap: TimerHeap | None = None
        # By event of a timer: its place, the next id of the tape by then, the number of the last timer, and of this.
        self._places: list[int] = []
        self._ids: list[int] = []
        self._newest: list[int] = []
        self._ended: dict[int, int] = {}

    def begin(self, heap: TimerHeap, events: list[Any]) -> None:
        """The timers of the run, and where to note events."""
        self.heap, self.events = heap, events

    def advanced(self, deadline: Any, previous: Any | None, key: Any, sequence: int) -> None:
        """A timer fires."""
        super().advanced(deadline, previous, key, sequence)
        self._note(sequence, True, deadline, self.line_before)

    def disarmed(self, deadline: Any, now: Any, sequence: int) -> None:
        """A timer is taken back."""
        super().disarmed(deadline, now, sequence)
        if math.isfinite(primal_of(deadline)):
            line = nearest_user_line()
            self._note(sequence, False, deadline, None if line is None else shown(line))

    def _note(self, sequence: int, fired: bool, deadline: Any, line: str | None) -> None:
        assert self.heap is not None
        if sequence >= 0:
            self.timers[sequence] = Timer(Moment.of(deadline), line)
        self._places.append(len(self.events))
        self._ids.append(state.peek_id())
        self._newest.append(self.heap.sequence)
        self._ended[sequence] = len(self.events)
        self.events.append(TimerEvent(sequence, fired, self.heap.sequence, Moment.of(self.heap.clock.now)))

    def first_after(self, entry: int) -> int:
        """A place among the events from which on what is noted may move with an entry of the tape."""
        known = bisect_right(self._ids, entry)
        return self._places[known - 1] + 1 if known else 0

    def newest(self, place: int) -> int:
        """The number of the last timer that had been set at the last event of a timer before a place."""
        known = bisect_left(self._places, place)
        return self._newest[known - 1] if known else 0

    def waiting(self, place: int) -> list[tuple[float, int]]:
        """The times and numbers of the timers that had been set by then and had not ended."""
        newest, ended = self.newest(place), self._ended
        return [
            (timer.deadline.time, number)
            for number, timer in self.timers.items()
            if number <= newest and ended.get(number, place) >= place
        ]

    def end(self) -> None:
        """Keep the timers that are left."""
        assert self.heap is not None
        for time, sequence, key, deadline in self.heap.heap:
            if self.heap.live.get(key) == sequence and math.isfinite(time):
                self.timers.setdefault(sequence, Timer(Moment.of(deadline), None))
        self.heap = None
