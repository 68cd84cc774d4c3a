"""A recording as a trace that https://ui.perfetto.dev and chrome://tracing open.

Every task is a track, named by its path. Every step is a slice on its task's track, named by what it ended in. A
wake-up is an arrow from the step that caused it to the woken task's next step; a message is an arrow from the send to
the receive that took it (channels are first in, first out, so the n-th receive takes the n-th send). Virtual time is
a counter track.

The axis. With ``clock="steps"`` (the default) one step is one microsecond of the trace: step ``n`` covers
``[n, n + 1)``, so order is exact and nothing overlaps. With ``clock="virtual"`` one microsecond of the trace is one of
virtual time, and step ``n`` begins at ``max(virtual time, end of step n - 1)`` and lasts a thousandth of that: steps
at one instant stand side by side in their order, and after a burst of more than a thousand steps per virtual
microsecond the axis runs ahead of virtual time until the clock catches up; ``args.virtual_time`` is always the truth.

The file is the JSON object form of the Trace Event Format (Google, "Trace Event Format", 2016), written as it is made:
memory is bounded by the tasks and the messages under way.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator
from typing import Any, Literal, TextIO

from detrun_scheduler.errors import UsageError

from detrun_recorder.recording import Recording
from detrun_recorder.steps import Event, Step

PROCESS = 1
CLOCK_TRACK = 0  # tasks are tracks 1, 2, ...: viewers take thread 0 of a process for its idle thread
VIRTUAL_STEP_MICROSECONDS = 0.001
MESSAGES_UNDER_WAY_MAX = 100_000  # per channel; older sends lose their arrow

Clock = Literal["steps", "virtual"]


def export_perfetto(
    recording: Recording,
    destination: str | os.PathLike[str] | TextIO,
    *,
    clock: Clock = "steps",
    start: int = 0,
    stop: int | None = None,
) -> int:
    """Write steps ``start`` up to ``stop`` of ``recording`` as a trace; the number of trace events written.

    ``destination`` is a path (overwritten) or a text file. A million steps take some 200 MB of JSON, which is about
    what a browser can hold: choose a range beyond that.
    """
    if clock not in ("steps", "virtual"):
        raise UsageError(f"clock is {clock!r}; choose 'steps' (one step is one microsecond) or 'virtual'")
    if isinstance(destination, str | os.PathLike):
        with open(destination, "w", encoding="utf-8") as file:
            return export_perfetto(recording, file, clock=clock, start=start, stop=stop)
    written = 0
    metadata = {"target": recording.target, "seed": str(recording.seed), "steps": recording.steps, "clock": clock}
    destination.write(f'{{"displayTimeUnit":"ns","otherData":{json.dumps(metadata)},"traceEvents":[\n')
    for event in trace_events(recording, clock, start, stop):
        destination.write(",\n" if written else "")
        destination.write(json.dumps(event, separators=(",", ":")))
        written += 1
    destination.write("\n]}\n")
    return written


def trace_events(
    recording: Recording, clock: Clock, start: int = 0, stop: int | None = None
) -> Iterator[dict[str, Any]]:
    """The events of the trace, those of each track in ascending time."""
    yield {
        "ph": "M",
        "pid": PROCESS,
        "tid": CLOCK_TRACK,
        "name": "process_name",
        "args": {"name": recording.target or "detrun run"},
    }
    named: set[int] = set()
    arrows = Arrows()
    ready = 0.0  # end of the step before
    counter = None
    for step in recording.iter_steps(start, stop):
        if step.task not in named:
            named.add(step.task)
            yield from track_names(step)
        if clock == "steps":
            begin, duration = float(step.index), 1.0
        else:
            begin, duration = max(step.time * 1e6, ready), VIRTUAL_STEP_MICROSECONDS
            # A double resolves a thousandth of a microsecond up to 2**43 microseconds; beyond, one unit in its last
            # place, so that slices never have zero width.
            duration = max(duration, begin * 2.0**-50)
        ready = begin + duration
        if step.time != counter:
            counter = step.time
            yield {
                "ph": "C",
                "pid": PROCESS,
                "tid": CLOCK_TRACK,
                "ts": begin,
                "name": "virtual time",
                "args": {"seconds": counter},
            }
        yield step_slice(step, begin, duration)
        yield from arrows.of_step(step, begin, duration)


def track_names(step: Step) -> Iterator[dict[str, Any]]:
    """Metadata of a task's track."""
    track = {"ph": "M", "pid": PROCESS, "tid": step.task + 1}
    yield {**track, "name": "thread_name", "args": {"name": step.path}}
    yield {**track, "name": "thread_sort_index", "args": {"sort_index": step.task + 1}}


def step_slice(step: Step, begin: float, duration: float) -> dict[str, Any]:
    """One step as a complete event."""
    arguments: dict[str, Any] = {"step": step.index, "virtual_time": step.time, "runnable": len(step.runnable)}
    if step.choice is not None:
        arguments["choice"] = step.choice
    if step.events:
        arguments["events"] = [describe(event) for event in step.events]
    return {
        "ph": "X",
        "pid": PROCESS,
        "tid": step.task + 1,
        "ts": begin,
        "dur": duration,
        "name": step.outcome,
        "cat": "step",
        "args": arguments,
    }


def describe(event: Event) -> str:
    """An event in a few words."""
    words = [event.kind]
    if event.operation is not None:
        words.append(event.operation)
    if event.label is not None:
        words.append(event.label)
    if event.time is not None:
        words.append(f"{event.time:.9g} s")
    if event.payload is not None:
        words.append(f"({len(event.payload)} bytes)")
    return " ".join(words)


class Arrows:
    """Flow events: each start is held back until its end is known, so that every arrow written is complete."""

    def __init__(self) -> None:
        self.count = 0
        self.wakes: dict[int, tuple[int, float]] = {}  # woken task -> track and time of the cause
        self.sends: dict[int, deque[tuple[int, float]]] = {}  # channel -> sends not yet received

    def of_step(self, step: Step, begin: float, duration: float) -> Iterator[dict[str, Any]]:
        """The arrows that end in ``step``; those that begin in it are remembered.

        An arrow binds to the slice that encloses its ends, hence the middle of each slice. Its start is written
        after slices of other tracks with later times: the format orders nothing but slices of one track.
        """
        track, middle = step.task + 1, begin + duration / 2
        cause = self.wakes.pop(step.task, None)
        if cause is not None:
            yield from self.arrow("wake", cause, (track, middle))
        for event in step.events:
            if event.number is None:
                continue
            if event.kind in ("wake", "spawn"):
                self.wakes[event.number] = (track, middle)
            elif event.kind == "send":
                channel = self.sends.setdefault(event.number, deque(maxlen=MESSAGES_UNDER_WAY_MAX))
                channel.append((track, middle))
            elif event.kind == "receive" and self.sends.get(event.number):
                yield from self.arrow(f"message {event.label}", self.sends[event.number].popleft(), (track, middle))

    def arrow(self, name: str, begin: tuple[int, float], end: tuple[int, float]) -> Iterator[dict[str, Any]]:
        """One arrow, from (track, time) to (track, time)."""
        self.count += 1
        common = {"pid": PROCESS, "cat": "flow", "name": name, "id": self.count}
        yield {"ph": "s", **common, "tid": begin[0], "ts": begin[1]}
        yield {"ph": "f", "bp": "e", **common, "tid": end[0], "ts": end[1]}
