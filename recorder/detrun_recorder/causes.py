"""`Causes`: what let each step of a recording happen: a wake-up, the start of its task, messages.

A task that a step wakes or starts is reached by that step. A message reaches the task that takes it: a receive takes
the oldest message of its channel, or the one whose place the recording says (`detrun_scheduler.message_order`). Items
of a `queue.SimpleQueue` are messages, too; a recording has them as what was put and got. What a recording notes after
the clock has moved happened between two steps, whichever task the earlier one was of. A message that arrives then
reaches the task that it wakes. A task that only a timer wakes has no cause: a timer fires between two steps, and a
cause is a step or a message.

A recording lists the tasks that one instant wakes in ascending order of their numbers. Where several messages arrive at
that instant, it leaves open which message woke which task. A message then goes to the task that was given the last
message of its channel; or to the only one with the name of the channel's destination in its path, as tasks of a world's
nodes have; or to the only task that is left. A message that none of these rules places is *astray*: it has arrived, and
the step that took it is unknown.

Readers say where things happen: in the numbers of steps, or as positions of a picture (``Place``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from detrun_recorder.steps import Event, Step

Place = TypeVar("Place")
SIMPLE_QUEUE = "SimpleQueue["  # how their labels begin


class Cause(NamedTuple, Generic[Place]):
    """Something that reached a step.

    Attributes:
        kind: ``wake``, ``spawn`` or ``message``.
        origin: the step in which it began, or after which, if it began between two.
        begun, ended: where it was sent, and where it arrived; one place for wake-ups and starts.
        channel: the number of a message's channel, -1 for others.
        label: the channel's.
        is_between: whether a message was sent between two steps.
    """

    kind: str
    origin: int
    begun: Place
    ended: Place
    channel: int = -1
    label: str = ""
    is_between: bool = False


@dataclass(slots=True)
class Reached(Generic[Place]):
    """How it came to a step.

    Attributes:
        after: the step after which its task could run; None if that was before the first.
        since: where that was.
        causes: what reached it.
        received: the messages that were received in the step's record, in their order.
        astray: those of them of which no step is known.
    """

    after: int | None = None
    since: Place | None = None
    causes: list[Cause[Place]] = field(default_factory=list)
    received: list[Cause[Place]] = field(default_factory=list)
    astray: list[Cause[Place]] = field(default_factory=list)


class _Sent(NamedTuple, Generic[Place]):
    step: int
    place: Place
    is_between: bool


class Causes(Generic[Place]):
    """Takes the steps of a recording from its first on; memory is bounded by tasks, channels and messages under way."""

    def __init__(self) -> None:
        self._next: dict[int, Reached[Place]] = {}  # by task that is to step next
        self._sends: dict[int, deque[_Sent[Place]]] = {}  # by channel: what was not received yet
        self._receivers: dict[int, int] = {}  # by channel: the task that a message of it woke

    def take(self, step: Step, place: Callable[[float | None], Place]) -> Reached[Place]:
        """What reached this step, the next one.

        Args:
            place: where a thing of the step itself happens (None), or one after it at this virtual time.
        """
        reached = self._next.pop(step.task, None) or Reached()
        if not step.events:
            return reached
        time: float | None = None
        arriving: list[Cause[Place]] = []
        woken: dict[int, str] = {}
        for event in step.events:
            kind, number = event.kind, event.number
            if kind == "time":
                self._settle(arriving, woken, reached)
                arriving, woken, time = [], {}, event.time
            if number is None:
                continue
            if kind == "operation":
                kind = _as_message(event)
            if kind == "send":
                sent = _Sent(step.index, place(time), time is not None)
                self._sends.setdefault(number, deque()).append(sent)
            elif kind == "withdraw" and self._sends.get(number):
                self._sends[number].popleft()
            elif kind == "receive" and len(self._sends.get(number, ())) > event.place:
                sent = self._sends[number][event.place]
                del self._sends[number][event.place]
                message = Cause(
                    "message", sent.step, sent.place, place(time), number, str(event.label), sent.is_between
                )
                reached.received.append(message)
                (reached.causes if time is None else arriving).append(message)
            elif kind == "spawn" or (kind == "wake" and number not in self._next):
                here = place(time)
                self._next[number] = following = Reached(step.index, here)
                if time is None:
                    following.causes.append(Cause(kind, step.index, here, here))
                else:
                    woken[number] = str(event.label)
        self._settle(arriving, woken, reached)
        return reached

    def pending(self) -> list[Cause[Place]]:
        """Messages that have reached tasks which have not stepped since."""
        return [cause for reached in self._next.values() for cause in reached.causes if cause.kind == "message"]

    def _settle(self, arriving: list[Cause[Place]], woken: dict[int, str], reached: Reached[Place]) -> None:
        """Give what arrived at one instant to the tasks that it woke."""
        unknown: list[Cause[Place]] = []
        for message in arriving:
            task = next(iter(woken)) if len(woken) == 1 else self._receivers.get(message.channel, -1)
            if task not in woken:
                task = _named(message.label, woken)
            if task in woken:
                self._give(message, task)
            else:
                unknown.append(message)
        without = [task for task in woken if not self._next[task].causes]
        if len(unknown) == len(without) == 1:
            self._give(unknown.pop(), without[0])
        reached.astray += unknown

    def _give(self, message: Cause[Place], task: int) -> None:
        self._receivers[message.channel] = task
        self._next[task].causes.append(message)


def always(place: Place) -> Callable[[float | None], Place]:
    """For `Causes.take`: all that a step's record has, at one place."""
    return lambda _: place


def _as_message(event: Event) -> str:
    """``send`` or ``receive`` where an operation is that, ``withdraw`` where it takes the oldest message back."""
    if event.operation == "withdraw":
        return "withdraw"
    if event.operation in ("put", "get") and str(event.label).startswith(SIMPLE_QUEUE):
        return "send" if event.operation == "put" else "receive"
    return ""


def _named(label: str, woken: dict[int, str]) -> int:
    """The task with a channel's destination in its path; -1 if none or several have it."""
    name = label.rpartition("->")[2].partition(":")[0]
    found = [task for task, path in woken.items() if name in path.split("/")]
    return found[0] if len(found) == 1 else -1
