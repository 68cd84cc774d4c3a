"""A recording as a trace that https://ui.perfetto.dev and chrome://tracing open.

Every task is a track, named by its path. Every step is a slice on its task's track, named by what it ended in. A
wake-up is an arrow from the step that caused it to the woken task's next step; a message is an arrow from the send to
the receive that took it (channels are first in, first out, so the n-th receive takes the n-th send). Virtual time is
a counter track.

The axis. With ``clock="steps"`` (the default) one step is one microsecond of the trace: step ``n`` covers
``[n, n + 1)``, so order is exact and nothing overlaps. With ``clock="virtual"`` one microsecond of the trace is one of
virtual time since the first step shown, and a step begins at its virtual time or at the end of the step before it,
whichever is later, and lasts ten nanoseconds: steps at one instant stand side by side in their order, and after a
burst of more than a hundred steps per virtual microsecond the axis runs ahead until virtual time catches up.
``args.virtual_time`` of a slice is always the truth. Positions are whole nanoseconds, which is what viewers keep.

The file is the JSON object form of the Trace Event Format (Google, "Trace Event Format", 2016), written as it is made:
memory is bounded by the tasks and the messages under way. Arrows from before the first step shown are left out.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator
from typing import Any, Literal, TextIO

from detrun_recorder.recording import Recording
from detrun_recorder.steps import Event, Step
from detrun_scheduler.errors import UsageError

TRACE_START = '{"displayTimeUnit":"ns","otherData":'  # by which a file is known to be a trace of ours
PROCESS = 1
CLOCK_TRACK = 0  # tasks are tracks 1, 2, ...: viewers take thread 0 of a process for its idle thread
STEP_NANOSECONDS = 1000
VIRTUAL_STEP_NANOSECONDS = 10
NANOSECONDS_MAX = 1 << 52  # 52 days; JSON numbers are doubles, which hold whole nanoseconds, and halves, up to here

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
    if clock == "virtual" and recording.virtual_time * 1e9 > NANOSECONDS_MAX:
        raise UsageError(
            f"the run took {recording.virtual_time:g} s of virtual time; on the virtual axis a trace resolves single "
            f"steps up to {NANOSECONDS_MAX / 1e9:g} s: use clock='steps'"
        )
    if isinstance(destination, str | os.PathLike):
        with open(destination, "w", encoding="utf-8") as file:
            return export_perfetto(recording, file, clock=clock, start=start, stop=stop)
    written = 0
    metadata = {"target": recording.target, "seed": str(recording.seed), "steps": recording.steps, "clock": clock}
    destination.write(f'{TRACE_START}{json.dumps(metadata)},"traceEvents":[\n')
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
    origin, ready = None, 0  # virtual time of the first step shown; end of the step before
    counter = None
    # From the first step on, whatever is shown: pairing messages needs the count of those before.
    for step in recording.iter_steps(0, stop):
        if step.index < start:
            arrows.pass_over(step)
            continue
        origin = step.time if origin is None else origin
        if clock == "steps":
            begin, duration = step.index * STEP_NANOSECONDS, STEP_NANOSECONDS
        else:
            elapsed = round(min((step.time - origin) * 1e9, NANOSECONDS_MAX))
            begin, duration = max(elapsed, ready), VIRTUAL_STEP_NANOSECONDS
        ready = begin + duration
        if step.task not in named:
            named.add(step.task)
            yield from track_names(step)
        if step.time != counter:
            counter = step.time
            yield {
                "ph": "C",
                "pid": PROCESS,
                "tid": CLOCK_TRACK,
                "ts": begin / 1000,
                "name": "virtual time",
                "args": {"seconds": counter},
            }
        yield step_slice(step, begin, duration)
        yield from arrows.of_step(step, begin + duration // 2)


def track_names(step: Step) -> Iterator[dict[str, Any]]:
    """Metadata of a task's track."""
    track = {"ph": "M", "pid": PROCESS, "tid": step.task + 1}
    yield {**track, "name": "thread_name", "args": {"name": step.path}}
    yield {**track, "name": "thread_sort_index", "args": {"sort_index": step.task + 1}}


def step_slice(step: Step, begin: int, duration: int) -> dict[str, Any]:
    """One step as a complete event."""
    arguments: dict[str, Any] = {"step": step.index, "virtual_time": step.time, "runnable": len(step.runnable)}
    if step.choice is not None:
        arguments["choice"] = step.choice
    if step.actions:
        arguments["before"] = list(step.actions)
    if step.events:
        arguments["events"] = [describe(event) for event in step.events]
    return {
        "ph": "X",
        "pid": PROCESS,
        "tid": step.task + 1,
        "ts": begin / 1000,
        "dur": duration / 1000,
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


Place = tuple[int, int]  # track, nanoseconds


class Arrows:
    """Flow events: each start is held back until its end is known, so that every arrow written is complete."""

    def __init__(self) -> None:
        self.count = 0
        self.wakes: dict[int, Place | None] = {}  # woken task -> what woke it; None: a step that is not shown
        self.sends: dict[int, deque[Place | None]] = {}  # channel -> sends not yet received

    def of_step(self, step: Step, middle: int) -> Iterator[dict[str, Any]]:
        """The arrows that end in ``step``, which is shown around ``middle``; those that begin in it are remembered.

        An arrow binds to the slice that encloses its ends, hence the middle of each slice. Its start is written
        after slices of other tracks with later times: the format orders nothing but slices of one track.
        """
        place = (step.task + 1, middle)
        for name, cause in self.pairs(step, place):
            if cause is not None:
                self.count += 1
                yield from arrow(name, self.count, cause, place)

    def pass_over(self, step: Step) -> None:
        """Account for a step that is not shown."""
        for _ in self.pairs(step, None):
            pass

    def pairs(self, step: Step, place: Place | None) -> Iterator[tuple[str, Place | None]]:
        """Name and cause of everything that reaches ``step``."""
        if step.task in self.wakes:
            yield "wake", self.wakes.pop(step.task)
        for event in step.events:
            if event.number is None:
                continue
            if event.kind in ("wake", "spawn"):
                self.wakes[event.number] = place
            elif event.kind == "send":
                self.sends.setdefault(event.number, deque()).append(place)
            elif event.kind == "receive" and self.sends.get(event.number):
                yield f"message {event.label}", self.sends[event.number].popleft()


def arrow(name: str, number: int, begin: Place, end: Place) -> Iterator[dict[str, Any]]:
    """One arrow."""
    common = {"pid": PROCESS, "cat": "flow", "name": name, "id": number}
    yield {"ph": "s", **common, "tid": begin[0], "ts": begin[1] / 1000}
    yield {"ph": "f", "bp": "e", **common, "tid": end[0], "ts": end[1] / 1000}
