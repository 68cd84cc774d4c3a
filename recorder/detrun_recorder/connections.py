"""What led from one step of a recording to another: messages, wake-ups and starts, with the tasks at both ends."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from detrun_recorder.causes import Causes, always
from detrun_recorder.recording import Recording


class Connection(NamedTuple):
    """From step ``origin`` of task ``source`` to step ``target`` of task ``destination``.

    Attributes:
        kind: ``wake``, ``spawn`` or ``message``.
        label: of a message's channel.
        is_between: a message was sent after its first step and before the next one, by the network.
    """

    kind: str
    label: str
    origin: int
    source: str
    target: int
    destination: str
    is_between: bool = False

    @property
    def arriving(self) -> str:
        """In words, in the step that it leads to."""
        where = f"{'after ' if self.is_between else ''}step {self.origin:,}"
        match self.kind:
            case "message":
                return f"received from {self.label} what was sent in {where} by {self.source}"
            case "spawn":
                return f"started in {where} by {self.source}"
            case _:
                return f"woken in {where} by {self.source}"

    @property
    def leaving(self) -> str:
        """In words, in the step that it comes from."""
        where = f"step {self.target:,}"
        match self.kind:
            case "message":
                return f"sent to {self.label}, received in {where} by {self.destination}"
            case "spawn":
                return f"started {self.destination}, which begins in {where}"
            case _:
                return f"woke {self.destination}, which goes on in {where}"


def connections(recording: Recording) -> Iterator[Connection]:
    """All of a recording, in the order of the steps that they lead to; about 4 µs a step."""
    causes = Causes[int]()
    tasks = array("q")
    for step in recording.iter_steps():
        tasks.append(step.task)
        for one in causes.take(step, always(step.index)).causes:
            source = recording.tasks[tasks[one.origin]][1]
            yield Connection(one.kind, one.label, one.origin, source, step.index, step.path, one.is_between)


class MessageMark(NamedTuple):
    """A message in a lane of a listing: its channel, and what is said of it."""

    label: str
    text: str


def message_marks(found: Iterable[Connection]) -> tuple[dict[int, list[MessageMark]], dict[int, list[MessageMark]]]:
    """By step: the messages that it received, and those that it sent which were received, for lanes of a listing."""
    received: dict[int, list[MessageMark]] = {}
    sent: dict[int, list[MessageMark]] = {}
    for one in found:
        if one.kind == "message":
            after = "after " if one.is_between else ""
            came = f"← {one.label} from {after}step {one.origin} ({one.source})"
            received.setdefault(one.target, []).append(MessageMark(one.label, came))
            if not one.is_between:
                left = f"→ {one.label} to step {one.target} ({one.destination})"
                sent.setdefault(one.origin, []).append(MessageMark(one.label, left))
    return received, sent
