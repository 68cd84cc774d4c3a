"""Occurrences of a run: what virtual time brought about, and the steps that followed from it.

An occurrence is a timer that was set: a message on its way to a node, a task that sleeps, or a time-out. `Timeline` is
told of them while a run goes on, and lets some of them fire at other moments than the program says. An occurrence has a
*label*, its kind, whose it is, and the how-manieth of these, by which it is found again in another run of the program.

A step *handles* an occurrence if its task was woken by it, or if it goes on with a message that had waited in a
mailbox. Where the timers of one instant wake a task, the wake is ascribed to the one whose task or message it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import outcome
import trio

from detrun.world.network.mailbox import Envelope, Letter
from detrun.world.network.packet import Packet
from detrun_scheduler import current
from detrun_scheduler.clock import primal_of
from detrun_scheduler.footprints.marks import innermost_user_line_of_call
from detrun_scheduler.run import ActiveRun, RunHooks

MESSAGE, SLEEP, TIMEOUT, OTHER = "message", "sleep", "time-out", "other"


class Label(NamedTuple):
    """What an occurrence is called in all runs of a program: of a message its link, else the task that set it."""

    kind: str
    whose: str
    nth: int


@dataclass(slots=True)
class Occurrence:
    """A timer that was set.

    Attributes:
        number: how many timers the run had set by then, itself included.
        label: see `Label`.
        about: of a message what it says, in words.
        line: of a message, the program's ``file:line`` that sent it; empty where that is not known.
        set_in: the step that set it, or that had just ended.
        set_at, due: virtual seconds; of a message when it was sent, and when it was to arrive.
        is_sent: of a message, that it has just left its sender, and was not held back before.
        handled_in: the first step that goes on with it; -1: none does.
    """

    number: int
    label: Label
    about: str
    set_in: int
    set_at: float
    due: float
    is_sent: bool = False
    line: str = ""
    handled_in: int = -1

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return self.due - self.set_at


# The moment at which an occurrence is to fire; None: when it would.
Move: TypeAlias = Callable[[Occurrence], float | None]


def unmoved(_: Occurrence) -> None:
    """Everything fires when it would."""


class Timeline:
    """The occurrences of one run.

    Args:
        move: when they fire.

    Attributes:
        all: in the order in which they were set; the occurrence with number ``n`` stands at ``n - 1``.
        fired: in the order in which they fired.
        times: when each step ran.
        woken_in: of each step, the step that made its task runnable; -1: time did, or it went on by itself.
    """

    def __init__(self, move: Move = unmoved) -> None:
        self.move = move
        self.all: list[Occurrence] = []
        self.fired: list[Occurrence] = []
        self.times: list[float] = []
        self.woken_in: list[int] = []
        self._run: Any = None
        self._now = 0.0  # when the running step began
        self._counts: dict[tuple[str, str], int] = {}
        self._just_fired: list[tuple[Any, Occurrence]] = []  # in this instant, and nothing of it known to be woken
        self._has_fired = False  # since the running step ended
        self._handles: dict[int, Occurrence] = {}  # by task: what its next step goes on with, or the running one does
        self._handles_next: dict[int, Occurrence] = {}  # the same of those woken since the running step ended
        self._woken: dict[int, int] = {}  # by task: in which step
        self._in_mailbox: list[tuple[Envelope, Any, Occurrence]] = []

    def hooks(self) -> RunHooks:
        """What a run needs to tell of its occurrences."""
        return RunHooks(after_step=[self._step_taken], time_observer=self, timer_moved=self._moved, watchers=[self])

    def labelled(self) -> dict[Label, Occurrence]:
        """The occurrences by their labels."""
        return {one.label: one for one in self.all}

    def handled_in(self, step: int) -> Occurrence | None:
        """What a step goes on with."""
        return next((one for one in self.fired if one.handled_in == step), None)

    def close(self) -> None:
        """The run is over. A step in which a check failed is no longer closed, and counts here."""
        run = self._run
        if run is not None and run.failure is not None:
            handled = self._handles.get(run.current)
            if handled is not None and handled.handled_in < 0:
                handled.handled_in = len(self.times)
            self.woken_in.append(self._woken_before(run.current))
            self.times.append(self._now)
        self._run = None

    # What the run tells.

    def _moved(self, number: int, deadline: Any, key: Any) -> Any:
        run = self._run = current.require("Timeline")
        now = run.time
        if isinstance(key, Packet):
            kind, whose, about = MESSAGE, key.link.name, key.describe()
            sent_at = float(primal_of(key.sent_at))
            is_sent = sent_at == now
        else:
            kind = SLEEP if isinstance(key, trio.lowlevel.Task) else TIMEOUT
            kind = kind if isinstance(key, trio.lowlevel.Task | trio.CancelScope) else OTHER
            whose, about, sent_at, is_sent = run.paths.get(run.current, ""), "", now, False
        nth = self._counts.get((kind, whose), 0)
        self._counts[kind, whose] = nth + 1
        due = float(primal_of(deadline))
        line = innermost_user_line_of_call(sys._getframe(1)) if is_sent else ""
        one = Occurrence(number, Label(kind, whose, nth), about, run.step_index, sent_at, due, is_sent, line)
        self.all.append(one)
        moved = self.move(one)
        if moved is None:
            return deadline
        one.due = max(moved, now)
        return one.due

    def advanced(self, deadline: Any, previous: Any | None, key: Any, sequence: int) -> None:
        """A timer fires."""
        one = self.all[sequence - 1]
        self.fired.append(one)
        self._has_fired = True
        self._just_fired.append((key, one))

    def overdue(self, deadline: Any, now: Any, key: Any) -> None:
        """See `TimeObserver`."""

    def disarmed(self, deadline: Any, now: Any, sequence: int) -> None:
        """See `TimeObserver`."""

    def rescheduled(self, number: int, is_new: bool, sent: Any) -> None:
        """A task can go on."""
        if not self._has_fired:
            self._woken.setdefault(number, len(self.times))  # a task wakes itself only when it runs already
            return
        message = sent.value if isinstance(sent, outcome.Value) else None
        task = self._run.host.by_number.get(number)
        found = next((at for at, (key, _) in enumerate(self._just_fired) if _is_of(key, task, message)), None)
        if found is None:
            vague = [at for at, (key, _) in enumerate(self._just_fired) if not _is_precise(key)]
            path = self._run.paths.get(number, "")
            own = (at for at in vague if self._just_fired[at][1].label.whose == path)
            found = next(own, vague[0] if vague else None)
        if found is not None:
            self._handles_next[number] = self._just_fired[found][1]
            if _is_precise(self._just_fired[found][0]):
                del self._just_fired[found]

    def _step_taken(self, run: ActiveRun) -> None:
        index = len(self.times)
        task = run.current
        self.woken_in.append(self._woken_before(task))
        self.times.append(self._now)
        self._woken.pop(task, None)
        handled = self._handles.pop(task, None)
        if handled is not None and handled.handled_in < 0:
            handled.handled_in = index
        if self._in_mailbox:
            self._look_into_mailboxes(task)
        for key, one in self._just_fired:
            process = key.receiver.process if isinstance(key, Letter) else None
            arrived = () if process is None else reversed(process.mailbox.arrived)
            envelope = next((waiting for waiting in arrived if waiting.message is key.message), None)
            if process is not None and envelope is not None:
                self._in_mailbox.append((envelope, process.mailbox, one))
        self._handles.update(self._handles_next)
        self._handles_next.clear()
        self._just_fired.clear()
        self._has_fired = False
        self._now = run.time

    def _woken_before(self, task: int) -> int:
        """In which step a task was woken for the one that ends now; a task may also wake itself, for its next step."""
        woken = self._woken.get(task, -1)
        return woken if woken < len(self.times) else -1

    def _look_into_mailboxes(self, task: int) -> None:
        """A message that is no longer there has been taken by the step that has just ended, for the next one."""
        left = []
        for envelope, mailbox, one in self._in_mailbox:
            if any(waiting is envelope for waiting in mailbox.arrived):
                left.append((envelope, mailbox, one))
            else:
                self._handles.setdefault(task, one)
        self._in_mailbox = left

    def registered(self, number: int, kind: str) -> None:
        """See `RunWatcher`."""

    def passed(self, lock: object, operation: int) -> None:
        """See `RunWatcher`."""

    def idle_awaited(self, numbers: Any) -> None:
        """See `RunWatcher`."""

    def operated(self, number: int, code: int, value: float | bytes) -> None:
        """See `OperationWatcher`."""


def _is_precise(key: Any) -> bool:
    """Whether it is known by itself whom a timer wakes."""
    return isinstance(key, trio.lowlevel.Task | Letter)


def _is_of(key: Any, task: Any, message: Any) -> bool:
    """Whether this timer has woken a task, which goes on with a message or nothing."""
    return key is task or (isinstance(key, Letter) and isinstance(message, Envelope) and message.message is key.message)
