"""Virtual time: one clock and one heap of timers for each run.

Time stands still while anything can run and then jumps to the earliest timer. Timers at the same instant fire
together, in the order in which they were set, so a tie never depends on an object's address (trio breaks ties by
``id(scope)``).

A clock value may be a differentiable number: anything with a ``primal`` attribute. The heap orders by the primal and
the clock takes on the very object that the timer was set with, so that its history stays attached. It does so too when
the timer is due at this very moment, as one of zero seconds is: the numbers are equal, and the history is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, Protocol, TypeAlias

# Below this many stale entries the heap is not worth pruning.
PRUNE_THRESHOLD = 1000


class TimeObserver(Protocol):
    """Is told where another timing of the program would have meant another order of events."""

    def advanced(self, deadline: Any, previous: Any | None, key: Any, sequence: int) -> None:
        """The timer of ``key`` and ``deadline`` fires, the one with this sequence number.

        ``previous`` fired before it, if it was waiting by then.
        """

    def overdue(self, deadline: Any, now: Any, key: Any) -> None:
        """The timer of ``key`` fired at ``now`` without waiting, because its ``deadline`` was not later than that."""

    def disarmed(self, deadline: Any, now: Any, sequence: int) -> None:
        """A timer set for ``deadline`` was taken back at ``now``; -1 if it was about to fire at this very moment."""


class LocalTime(Protocol):
    """The clocks that the code of a world reads instead of the run's: each machine has its own."""

    @property
    def now(self) -> Any:
        """Seconds on the monotonic clock of the code that asks."""

    @property
    def wall(self) -> Any:
        """Seconds on its wall clock since the start of the run's calendar."""

    def advance(self, seconds: Any) -> None:
        """Move time on by so many of its seconds."""

    def true_seconds(self, seconds: Any) -> Any:
        """How many of the run's seconds its next ``seconds`` take."""

    def add(self, deadline: Any, key: Any) -> None:
        """Set the timer of ``key``, by its clock."""

    def remove(self, deadline: Any, key: Any) -> None:
        """Take the timer of ``key`` back."""

    def renew(self, deadline: Any, key: Any) -> None:
        """Give the timer of ``key`` another history of the same moment."""


# Given the sequence number of a timer that is being set, its deadline and its key, the deadline that counts.
MovedTimer: TypeAlias = Callable[[int, Any, Any], Any]


class VirtualClock:
    """The time of a run, in seconds since its start. Satisfies ``trio.abc.Clock``."""

    __slots__ = ("now", "time", "timers")

    def __init__(self, moved: MovedTimer | None = None) -> None:
        self.now: Any = 0.0
        self.time = 0.0  # the primal of `now`
        self.timers = TimerHeap(self) if moved is None else MovedTimers(self, moved)

    @property
    def wall(self) -> Any:
        """Seconds since the start of the run's calendar: the same, on a machine whose clocks are right."""
        return self.now

    def start_clock(self) -> None:
        """Nothing to start: the clock moves only when the loop moves it."""

    def current_time(self) -> Any:
        """Virtual seconds since the start of the run; a `Value` once a `Value` has moved the clock."""
        return self.now

    def deadline_to_sleep_time(self, deadline: Any) -> float:
        """Real seconds to sleep for a deadline: none, time is virtual."""
        return 0.0

    def advance(self, seconds: Any) -> None:
        """Move time on without letting any task run: what a blocking ``time.sleep`` does to an event loop."""
        self.now = self.now + seconds
        self.time = float(primal_of(self.now))
        timers = self.timers
        if timers.heap and timers.heap[0][0] <= self.time:
            timers.due = True


def primal_of(value: Any) -> float:
    """The plain number of a possibly differentiable one."""
    return getattr(value, "primal", value)  # type: ignore[no-any-return]


class TimerHeap:
    """Timers by deadline, then by the order in which they were set.

    A timer belongs to a key: a cancel scope, a task in `detrun.sleep`, or anything else with a ``fire`` method, which
    is called between two steps, when no task is current. Each key has at most one live timer;
    entries of taken-back timers stay in the heap until they surface or are pruned.
    The first four methods are those that trio calls on its own container of deadlines.

    Invariants: ``heap`` is a heap, and holds the entry of every timer in ``live``; ``due`` is set if one of them is at
    or before the present.
    """

    __slots__ = ("clock", "due", "firing", "heap", "latest", "live", "observer", "sequence")

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        # (deadline's primal, sequence number, key, deadline): sequence numbers are distinct, so keys never compare.
        self.heap: list[tuple[float, int, Any, Any]] = []
        self.live: dict[Any, int] = {}  # key -> sequence number of its live timer
        # Keys whose timers have surfaced at this instant and are still to fire, unless one that fires before takes them
        # back: a deadline that cancels a sleeper whose time is up, too.
        self.firing: dict[Any, bool] = {}
        self.sequence = 0
        self.due = False  # a timer was set at or before the present: the loop must look after this step
        self.observer: TimeObserver | None = None
        # For the observer: the deadline that fired last, and the last sequence number there was by then.
        self.latest: tuple[Any, int] = (None, -1)

    def add(self, deadline: Any, key: Any) -> None:
        """Set the timer of ``key``."""
        time = deadline if type(deadline) is float else float(primal_of(deadline))
        self.sequence = sequence = self.sequence + 1
        self.live[key] = sequence
        heappush(self.heap, (time, sequence, key, deadline))
        if time <= self.clock.time:
            self.due = True

    def remove(self, deadline: Any, key: Any) -> None:
        """Take back the timer of ``key``, if it has not fired."""
        sequence = self.live.pop(key, None)
        if sequence is None:
            if key not in self.firing:
                return
            del self.firing[key]
        if self.observer is not None:
            self.observer.disarmed(deadline, self.clock.now, -1 if sequence is None else sequence)
        if len(self.heap) > 2 * len(self.live) + PRUNE_THRESHOLD:
            live = self.live
            self.heap = [entry for entry in self.heap if live.get(entry[2]) == entry[1]]
            heapify(self.heap)

    def renew(self, deadline: Any, key: Any) -> None:
        """Let the timer of ``key`` fire at the same time and in the same turn, but with the history of ``deadline``."""
        sequence = self.live[key]
        place = next(place for place, entry in enumerate(self.heap) if entry[1] == sequence)
        self.heap[place] = (*self.heap[place][:3], deadline)

    def forget(self, keys: Sequence[Any]) -> None:
        """Drop the timers of ``keys`` and every entry that is stale, as if they had never been set."""
        live = self.live
        if self.observer is not None:
            dropped = {live[key] for key in keys}
            for _, sequence, _, deadline in sorted(entry for entry in self.heap if entry[1] in dropped):
                self.observer.disarmed(deadline, self.clock.now, sequence)
        for key in keys:
            del live[key]
        self.heap = [entry for entry in self.heap if live.get(entry[2]) == entry[1]]
        heapify(self.heap)

    def next_deadline(self) -> Any:
        """The earliest deadline, or infinity."""
        self._drop_stale()
        return self.heap[0][3] if self.heap else math.inf

    def next_time(self) -> float:
        """The primal of the earliest deadline, or infinity."""
        self._drop_stale()
        return self.heap[0][0] if self.heap else math.inf

    def _drop_stale(self) -> None:
        heap, live = self.heap, self.live
        while heap and live.get(heap[0][2]) != heap[0][1]:
            heappop(heap)

    def pop_due(self, now: float) -> list[Any]:
        """Remove the timers due at ``now`` and return their keys in the order in which they fire."""
        heap, live, clock = self.heap, self.live, self.clock
        fired = []
        while heap and heap[0][0] <= now:
            time, sequence, key, deadline = heappop(heap)
            if live.get(key) == sequence:
                del live[key]
                fired.append(key)
                if self.observer is not None:
                    self.observer.overdue(deadline, clock.now, key)
                    self._tell(deadline, sequence, key)
                if time == clock.time and len(fired) == 1 and primal_of(deadline) is not deadline:
                    clock.now = deadline
        self.due = False
        return fired

    def jump(self) -> list[Any] | None:
        """Move the clock to the earliest deadline and return the keys of the timers that fire there, None if none is.

        The timers at one instant fire together, in the order in which they were set. The clock never goes back: a
        deadline in the past fires at the present.
        """
        self._drop_stale()
        heap, live, clock = self.heap, self.live, self.clock
        if not heap:
            return None
        time, sequence, key, deadline = heap[0]
        if self.observer is not None:
            self._tell(deadline, sequence, key)
        if time > clock.time:
            clock.now, clock.time = deadline, time
        heappop(heap)
        del live[key]
        fired = [key]
        while heap and heap[0][0] <= time:
            _, sequence, key, deadline = heap[0]
            if live.get(key) == sequence:
                if self.observer is not None:
                    self._tell(deadline, sequence, key)
                del live[key]
                fired.append(key)
            heappop(heap)
        self.due = False
        return fired

    def _check(self) -> None:
        """Assert the invariants; the clock must be virtual."""
        heap, live = self.heap, self.live
        assert all(heap[(place - 1) // 2][:2] <= heap[place][:2] for place in range(1, len(heap)))
        present = {entry[1]: entry for entry in heap if live.get(entry[2]) == entry[1]}
        assert len(present) == len(live), (present, live)
        assert self.due or all(entry[0] > self.clock.time for entry in present.values()), (present, self.clock.time)

    def _tell(self, deadline: Any, sequence: int, key: Any) -> None:
        assert self.observer is not None
        previous, waiting = self.latest
        self.observer.advanced(deadline, previous if sequence <= waiting else None, key, sequence)
        self.latest = deadline, self.sequence


class MovedTimers(TimerHeap):
    """Timers of which some fire at other moments than the program says: what if a message had come later?

    Args:
        moved: says when each fires. The program is told nothing of it.
    """

    __slots__ = ("moved",)

    def __init__(self, clock: VirtualClock, moved: MovedTimer) -> None:
        super().__init__(clock)
        self.moved = moved

    def add(self, deadline: Any, key: Any) -> None:
        """Set the timer of ``key``."""
        super().add(self.moved(self.sequence + 1, deadline, key), key)

    def renew(self, deadline: Any, key: Any) -> None:
        """See `TimerHeap.renew`. A timer that was moved has no history: its moment is a plain number."""
        sequence = self.live[key]
        time = next(entry[0] for entry in self.heap if entry[1] == sequence)
        if time == primal_of(deadline):
            super().renew(deadline, key)
