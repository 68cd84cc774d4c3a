"""`Timeline`: a recording as columns, for the space-time diagram of a report.

A lane is a task. Steps are numbered as in the recording, so that a place of the diagram is a place of every other
command. What reaches a step is an arrow (`detrun_recorder.causes`); what was sent between two steps has none. A bar is
a stretch of steps in which a task has a lock, a semaphore or the like, from its acquire to its release. All is read
from the events of the recording alone, and is the same whether or not the program can be run again.

Source of the diagram's form: Lamport, "Time, clocks, and the ordering of events in a distributed system", 1978.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from detrun_recorder.causes import Causes
from detrun_recorder.described import CLOCK, event_described, is_wait, wait_shown
from detrun_recorder.recording import Recording
from detrun_recorder.steps import Event, Step
from detrun_scheduler.visible import visible_line

SHOWN_EVENTS_MAX = 40  # of one step


@dataclass(slots=True)
class Lane:
    """One task.

    Attributes:
        path: its name in the run.
        group: the node whose code it is, an empty string outside a world.
        ended: how, in a word; empty if it never did.
    """

    number: int
    path: str
    group: str = ""
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Arrow:
    """From one step to another: ``kind`` is ``wake``, ``spawn`` or ``message``."""

    origin: int
    target: int
    kind: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A task has an object, or waits for it, from one step to another; ``last`` is None if it never let go."""

    lane: int
    label: str
    first: int
    last: int | None
    waits: bool = False

    def document(self) -> list[Any]:
        """As plain JSON values."""
        return [self.lane, visible_line(self.label), self.first, self.last, self.waits]


@dataclass(frozen=True, slots=True)
class Slept:
    """A task waited for the clock from a step on until time moved to ``due``, after another step.

    Whether it was to sleep or had a deadline, and where it said so, only the program tells (`detrun.reports.timers`).
    """

    lane: int
    step: int
    due: float
    last: int

    def document(self) -> list[Any]:
        """As plain JSON values: lane, kind, place, step, due, last, how it ended."""
        return [self.lane, "sleep", "", self.step, self.due, self.last, "fired"]


@dataclass(slots=True)
class Texts:
    """Texts that are said once, and their numbers."""

    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, text: str) -> int:
        """Of this text."""
        return self.numbers.setdefault(text, len(self.numbers))


@dataclass(slots=True)
class Timeline:
    """Steps ``first`` up to ``first + len(lane_of)`` of a run, as columns.

    Attributes:
        lane_of: by step: the index of its lane.
        times: by step: virtual seconds.
        endings: by step: the number of the text that says how it ended.
        choices: by step: how many tasks could have run.
        ready: by step: the step after which its task could run; -1 if that was before the first.
        did: what steps did, those that did something: numbers of texts.
        actions: what the run did by itself before a step.
        faults: steps in which a fault took effect, by its name.
        slept: waits for the clock that ended when time had come.
    """

    first: int
    lanes: list[Lane] = field(default_factory=list)
    lane_of: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    endings: list[int] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)
    did: dict[int, list[int]] = field(default_factory=dict)
    actions: dict[int, list[str]] = field(default_factory=dict)
    arrows: list[Arrow] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    faults: dict[str, list[int]] = field(default_factory=dict)
    slept: list[Slept] = field(default_factory=list)
    texts: Texts = field(default_factory=Texts)

    def document(self) -> dict[str, Any]:
        """As plain JSON values; columns are lists of equal length."""
        kinds = Texts()
        labels = Texts()
        return {
            "first": self.first,
            "lanes": [[visible_line(one.path), visible_line(one.group), one.ended, one.number] for one in self.lanes],
            "laneOf": self.lane_of,
            "times": self.times,
            "endings": self.endings,
            "choices": self.choices,
            "ready": self.ready,
            "did": [list(self.did), list(self.did.values())],
            "actions": [list(self.actions), list(self.actions.values())],
            "arrows": {
                "origin": [one.origin for one in self.arrows],
                "target": [one.target for one in self.arrows],
                "kind": [kinds.number(one.kind) for one in self.arrows],
                "label": [labels.number(one.label) for one in self.arrows],
                "kinds": list(kinds.numbers),
                "labels": list(map(visible_line, labels.numbers)),
            },
            "held": [one.document() for one in self.held],
            "faults": [[visible_line(name), steps] for name, steps in self.faults.items()],
            "timers": [one.document() for one in self.slept],
            "cancellations": [],
            "timersLeftOut": 0,
            "texts": list(map(visible_line, self.texts.numbers)),
        }


def lanes_of_tasks(document: Mapping[str, Any]) -> dict[int, int]:
    """By the number of a task: its lane in what `Timeline.document` returns."""
    return {number: at for at, (_, _, _, number) in enumerate(document["lanes"])}


def timeline_of(recording: Recording, steps: range, groups: Mapping[str, str]) -> Timeline:
    """The wanted steps of a recording; about 6 µs each, and 2 µs for each step before.

    Args:
        steps: consecutive ones.
        groups: the node of a task, by its path, where it is known.
    """
    reader = _Reader(recording, Timeline(steps.start), groups)
    for step in recording.iter_steps(0, steps.stop):
        reader.take(step, is_shown=step.index >= steps.start)
    return reader.finished()


class _Reader:
    """Takes the steps of a recording in their order."""

    def __init__(self, recording: Recording, timeline: Timeline, groups: Mapping[str, str]) -> None:
        self.recording = recording
        self.timeline = timeline
        self.groups = groups
        self.lane_numbers: dict[int, int] = {}  # by task
        self.causes = Causes[int]()
        self.holding: dict[tuple[int, int], list[int]] = {}  # by task and object: the steps of its acquires
        self.sleeping: dict[int, int] = {}  # by task: the step that ended in a wait for the clock
        self.waiting: dict[int, int] = {}  # by task: the step in which it began to wait for a lock of threads
        self.last_ending: dict[int, str] = {}  # by lane

    def take(self, step: Step, is_shown: bool) -> None:
        """The next step."""
        reached = self.causes.take(step, lambda time: step.index)
        self.sleeping.pop(step.task, None)
        if step.outcome == CLOCK:
            self.sleeping[step.task] = step.index
        time = None
        for event in step.events:
            if event.kind == "operation":
                self._hold(step, event, is_shown)
            elif event.kind == "time":
                time = event.time
            elif event.kind == "wake" and time is not None and is_shown:
                self._wake(step, event, time)
        if is_wait(step.outcome) and step.outcome.endswith("Lock.acquire"):
            self.waiting.setdefault(step.task, step.index)
        else:
            self.waiting.pop(step.task, None)
        if not is_shown:
            return
        timeline = self.timeline
        lane = self._lane(step)
        for cause in reached.causes:
            if cause.origin >= timeline.first and not cause.is_between:  # of what the network sends no step is known
                timeline.arrows.append(Arrow(cause.origin, step.index, cause.kind, cause.label))
        timeline.ready.append(-1 if reached.after is None else reached.after)
        timeline.lane_of.append(lane)
        timeline.times.append(step.time)
        ended = wait_shown(step.outcome)
        self.last_ending[lane] = step.outcome
        timeline.endings.append(timeline.texts.number(ended))
        timeline.choices.append(len(step.runnable))
        if step.actions:
            timeline.actions[step.index] = list(step.actions)
        for event in step.events:
            if event.kind == "fault":
                struck = timeline.faults.setdefault(str(event.label), [])
                if not struck or struck[-1] != step.index:
                    struck.append(step.index)
        if step.events:
            said = [timeline.texts.number(event_described(event)) for event in step.events[:SHOWN_EVENTS_MAX]]
            if len(step.events) > SHOWN_EVENTS_MAX:
                said.append(timeline.texts.number(f"and {len(step.events) - SHOWN_EVENTS_MAX} more"))
            timeline.did[step.index] = said

    def finished(self) -> Timeline:
        """The timeline, with what is still held at its end."""
        for (task, number), begun in self.holding.items():
            if task in self.lane_numbers:
                label = self.recording.objects[number]
                self.timeline.held += [
                    Held(self.lane_numbers[task], label, max(at, self.timeline.first), None) for at in begun
                ]
        for task, at in self.waiting.items():
            if task in self.lane_numbers:
                first = max(at, self.timeline.first)
                self.timeline.held.append(Held(self.lane_numbers[task], "", first, None, waits=True))
        self.timeline.held.sort(key=lambda one: (one.first, one.lane))
        for lane, outcome in self.last_ending.items():
            if not is_wait(outcome) and outcome != "checkpoint":
                self.timeline.lanes[lane].ended = "returned" if outcome == "done" else outcome
        return self.timeline

    def _lane(self, step: Step) -> int:
        lane = self.lane_numbers.get(step.task)
        if lane is None:
            lane = self.lane_numbers[step.task] = len(self.timeline.lanes)
            self.timeline.lanes.append(Lane(step.task, step.path, self.groups.get(step.path, "")))
        return lane

    def _wake(self, step: Step, event: Event, time: float) -> None:
        """Note a wait for the clock that is over."""
        since = self.sleeping.pop(event.number, None) if event.number is not None else None
        lane = None if event.number is None else self.lane_numbers.get(event.number)
        if since is not None and lane is not None:
            self.timeline.slept.append(Slept(lane, max(since, self.timeline.first), time, step.index))

    def _hold(self, step: Step, event: Event, is_shown: bool) -> None:
        """Note an acquire, and make a bar of a release."""
        if event.number is None:
            return
        key = step.task, event.number
        if event.operation == "acquire":
            asked = self.waiting.pop(step.task, None)
            if asked is not None and is_shown:
                first = max(asked, self.timeline.first)
                self.timeline.held.append(Held(self._lane(step), str(event.label), first, step.index, waits=True))
            self.holding.setdefault(key, []).append(step.index)
        elif event.operation == "release":
            begun = self.holding.get(key)
            if begun:
                first = begun.pop()
                if is_shown:
                    lane = self._lane(step)
                    self.timeline.held.append(Held(lane, str(event.label), max(first, self.timeline.first), step.index))
                if not begun:
                    del self.holding[key]
