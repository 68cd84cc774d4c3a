"""`Timers`: which tasks set which timers, when these fired or were taken back, and which waits were cancelled.

A recording has who was woken, and says of a timer only that time moved. Here the run is made again, and its heap of
timers says when a timer is set, fires and is taken back. Only timers for which a task or a callback waits are kept:
messages of a network, which have timers, too, are shown as arrows.

A wait is *cancelled* when it ends with trio's `Cancelled`, or when `asyncio.Task.cancel` reaches its task. The end of a
`trio.sleep`, which trio makes by cancelling it from within, counts as the firing of its timer alone.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import outcome
import trio

from detrun.execution.scope import RunScope
from detrun.explore.failures.listing import shown_place
from detrun.explore.failures.narrated_steps import Line
from detrun.pages.timeline import lanes_of_tasks
from detrun_scheduler.asyncio_host.tasks import LANE, Task
from detrun_scheduler.asyncio_host.tasks import Timer as AsyncioTimer
from detrun_scheduler.clock import primal_of
from detrun_scheduler.footprints.marks import innermost_user_line_of_call
from detrun_scheduler.run import ActiveRun, RunHooks
from detrun_scheduler.user_code import is_user_file
from detrun_scheduler.visible import visible_line

KEYS = (trio.CancelScope, trio.lowlevel.Task, AsyncioTimer)  # of timers for which something waits
TIMERS_MAX = 50_000
CANCELLATIONS_MAX = 20_000
FRAMES_MAX = 30  # between the setting of a timer and the user's code
FIRED, TAKEN_BACK = "fired", "taken back"


@dataclass(slots=True)
class Timer:
    """One timer, whose task is known by its number.

    Attributes:
        kind: ``sleep``, or ``deadline`` of anything else.
        place: file and line where it was set; empty where no code of the user's has called what set it.
        step: in which it was set.
        due: virtual time at which it fires.
        last: the step in which it was taken back, or after which it fired; None while it is set.
        ended: `FIRED`, `TAKEN_BACK`, or an empty text.
    """

    task: int
    kind: str
    place: str
    step: int
    due: float
    last: int | None = None
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A wait of a task was cancelled, in a step or, by a timer, after it.

    Attributes:
        by: the task that cancelled it; empty where a timer did.
        deadlines: where those deadlines were set that came at this moment.
    """

    task: int
    step: int
    is_after: bool
    by: str = ""
    deadlines: tuple[str, ...] = ()

    @property
    def cause(self) -> str:
        """In words."""
        if self.deadlines:
            return f"by the deadline set at {' or '.join(map(_shown, self.deadlines))}"
        return f"by {self.by}" if self.by else "by a timer"


@dataclass(slots=True)
class Timers(RunScope):
    """Listens to the timers of one run.

    Attributes:
        timers: in the order in which they were set.
        cancellations: in their order.
        left_out: timers and cancellations that are not kept.
    """

    timers: list[Timer] = field(default_factory=list)
    cancellations: list[Cancellation] = field(default_factory=list)
    left_out: int = 0
    _run: ActiveRun | None = None
    _set: dict[int, Timer] = field(default_factory=dict)  # by sequence number of those that have not ended
    _firing: list[Timer] = field(default_factory=list)  # since the running step ended
    _is_between: bool = False  # something has fired since it did

    def contribute(self, hooks: RunHooks) -> None:
        """Be told of timers, of steps and of tasks that become runnable."""
        hooks.timer_moved = self._added
        hooks.time_observer = self
        hooks.after_step.append(self._step_taken)
        hooks.watchers.append(self)

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """See `RunScope`."""
        self._run = run
        original = Task.cancel

        @functools.wraps(original)
        def cancel(task: Task, *message: Any, **named: Any) -> bool:
            lane: Any = getattr(task, LANE)
            number = None if lane is None else run.host.numbers.get(lane.task)
            if number is not None and not task.done():
                self._cancelled(number)
            return original(task, *message, **named)

        Task.cancel = cancel  # type: ignore[assignment,method-assign]  # wrapped until `close`; mypy sees a wrapper, no method
        return args

    def close(self) -> None:
        """See `RunScope`."""
        if "cancel" in vars(Task):
            del Task.cancel
        self._run = None

    def document(self, timeline: Mapping[str, Any]) -> dict[str, Any]:
        """As plain JSON values, those of the lanes and steps of a page (`Timeline.document`)."""
        first = timeline["first"]
        end = first + len(timeline["laneOf"])
        lanes = lanes_of_tasks(timeline)
        return {
            "timers": [
                [lanes[one.task], one.kind, _shown(one.place), one.step, one.due, one.last, one.ended]
                for one in self.timers
                if one.task in lanes and one.step < end and (one.last is None or one.last >= first)
            ],
            "cancellations": [
                [lanes[one.task], one.step, one.is_after, visible_line(one.cause)]
                for one in self.cancellations
                if one.task in lanes and first <= one.step < end
            ],
            "timersLeftOut": self.left_out,
        }

    # What the heap of timers tells (`MovedTimer`, `TimeObserver`).

    def _added(self, sequence: int, deadline: Any, key: Any) -> Any:
        run = self._run
        if run is None or not isinstance(key, KEYS):
            return deadline
        kind, place = _set_by(sys._getframe(1))
        timer = Timer(run.current, kind, place, run.step_index, float(primal_of(deadline)))
        self._set[sequence] = timer
        if len(self.timers) < TIMERS_MAX:
            self.timers.append(timer)
        else:
            self.left_out += 1
        return deadline

    def advanced(self, deadline: Any, previous: Any | None, key: Any, sequence: int) -> None:
        """A timer fires."""
        self._is_between = True
        timer = self._ended(sequence, FIRED)
        if timer is not None:
            self._firing.append(timer)

    def overdue(self, deadline: Any, now: Any, key: Any) -> None:
        """A timer was due at once; `advanced` comes, too."""

    def disarmed(self, deadline: Any, now: Any, sequence: int) -> None:
        """A timer was taken back."""
        self._ended(sequence, TAKEN_BACK)

    def _ended(self, sequence: int, how: str) -> Timer | None:
        timer = self._set.pop(sequence, None)
        if timer is not None and self._run is not None:
            timer.last, timer.ended = self._run.step_index, how
        return timer

    # What the run tells (`RunWatcher`).

    def _step_taken(self, run: ActiveRun) -> None:
        self._firing.clear()
        self._is_between = False

    def rescheduled(self, number: int, is_new: bool, sent: Any) -> None:
        """A task has become runnable."""
        if type(sent) is not outcome.Error or not isinstance(sent.error, trio.Cancelled):
            return
        if not any(timer.task == number and timer.kind == "sleep" for timer in self._firing):
            self._cancelled(number)

    def registered(self, number: int, kind: str) -> None:
        """An object has its number."""

    def operated(self, number: int, code: int, value: float | bytes) -> None:
        """An operation was written down."""

    def passed(self, lock: object, operation: int) -> None:
        """A library's lock was taken or given back."""

    def idle_awaited(self, numbers: Sequence[int]) -> None:
        """Tasks that waited until nothing could run wake."""

    def _cancelled(self, number: int) -> None:
        run = self._run
        if run is None:
            return
        if len(self.cancellations) == CANCELLATIONS_MAX:
            self.left_out += 1
            return
        if self._is_between:
            places = dict.fromkeys(one.place for one in self._firing if one.kind != "sleep" and one.place)
            found = Cancellation(number, run.step_index, True, deadlines=tuple(places))
        else:
            by = "itself" if run.current == number else run.paths.get(run.current, "another task")
            found = Cancellation(number, run.step_index, False, by)
        self.cancellations.append(found)


def _shown(place: str) -> str:
    file, _, number = place.rpartition(":")
    if not file:
        return ""
    return visible_line(shown_place(Line(file, int(number))))


def _set_by(frame: FrameType) -> tuple[str, str]:
    """What sort of timer the code of ``frame`` is setting, and the nearest line of the user's; empty without one."""
    kind = "deadline"
    inner: FrameType | None = frame
    for _ in range(FRAMES_MAX):
        if inner is None or is_user_file(inner.f_code.co_filename):
            break
        if inner.f_code.co_name.startswith("sleep"):
            kind = "sleep"
        inner = inner.f_back
    return kind, innermost_user_line_of_call(frame)
