"""A recording as a trace that https://ui.perfetto.dev and chrome://tracing open.

*Processes* are the nodes of a world, as far as the caller knows whose task is whose, then the run's other tasks, its
locks, its channels and its faults. Every task is a track of its node. Every step is a slice, named by the lines that it
ran and the objects that it used, where its lines are known, and else by what it did; between two steps stands what the
task waited for. A lock has a slice for each stretch in which a task holds it or waits for it, a channel one for each
message from its sending to its arrival, a fault one for each step in which it struck; where slices of one lock or
channel overlap they are on several tracks. Arrows are the wake-ups, starts and messages of `detrun_recorder.causes`; a
message that was sent between two steps, or that reached no step that is known, begins or ends at its slice on the
channel's track, so that every message received is one arrow.

The axis. With ``clock="virtual"`` (the default) one microsecond of the trace is one of virtual time since the first
step shown, and a step begins at its virtual time or at the end of the step before it, whichever is later, and lasts ten
nanoseconds: steps at one instant stand side by side in their order, and after a burst of more than a hundred steps per
virtual microsecond the axis runs ahead until virtual time catches up. With ``clock="steps"`` one step is one
microsecond of the trace: step ``n`` covers ``[n, n + 1)``, and virtual time is a counter. ``args.virtual_time`` of a
slice is always the truth. Positions are whole nanoseconds, which is what viewers keep.

The file is the JSON object form of the Trace Event Format (Google, "Trace Event Format", 2016), written as it is made:
memory is bounded by tasks, locks and messages under way. Arrows and slices from before the first step shown are left
out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TextIO

from detrun_recorder.causes import Cause, Causes, Reached
from detrun_recorder.described import event_described, is_wait, wait_shown
from detrun_recorder.export_tracks import CHANNELS, FAULTS, LOCKS, Event, Span, TaskBar, Track, Tracks
from detrun_recorder.recording import Recording
from detrun_recorder.steps import Step
from detrun_scheduler.errors import UsageError

TRACE_START = '{"displayTimeUnit":"ns","otherData":'  # by which a file is known to be a trace of ours
STEP_NANOSECONDS = 1000
VIRTUAL_STEP_NANOSECONDS = 10
NANOSECONDS_MAX = 1 << 52  # 52 days; JSON numbers are doubles, which hold whole nanoseconds, and halves, up to here
NAME_MAX = 160  # characters of a slice's name
USES = ("operation", "send", "receive")  # events with objects

Clock = Literal["steps", "virtual"]


@dataclass(frozen=True, slots=True)
class Ran:
    """What a recording does not say of a step, from the program run again.

    Attributes:
        code: the lines that it ran, as texts.
        places: where each of them stands.
        touched: what it did to which object, in words.
    """

    code: Sequence[str] = ()
    places: Sequence[str] = ()
    touched: Sequence[str] = ()


def export_perfetto(
    recording: Recording,
    destination: str | os.PathLike[str] | TextIO,
    *,
    clock: Clock = "virtual",
    start: int = 0,
    stop: int | None = None,
    nodes: Mapping[str, str] | None = None,
    ran: Mapping[int, Ran] | None = None,
    bars: Sequence[TaskBar] = (),
) -> int:
    """Write steps ``start`` up to ``stop`` of ``recording`` as a trace; the number of trace events written.

    ``destination`` is a path (overwritten) or a text file. A million steps take some 400 MB of JSON, which is more than
    a browser can hold: choose a range beyond 200,000.

    Args:
        nodes: of a world: the node of a task, by the task's path.
        ran: by step, where it is known.
        bars: who had which lock, and who waited for it, of locks whose operations are not in the recording.
    """
    if clock not in ("steps", "virtual"):
        raise UsageError(f"clock is {clock!r}; choose 'steps' (one step is one microsecond) or 'virtual'")
    if clock == "virtual" and recording.virtual_time * 1e9 > NANOSECONDS_MAX:
        raise UsageError(
            f"the run took {recording.virtual_time:g} s of virtual time; on the virtual axis a trace resolves single "
            f"steps up to {NANOSECONDS_MAX / 1e9:g} s: use clock='steps' (detrun show --clock steps)"
        )
    if isinstance(destination, str | os.PathLike):
        with open(destination, "w", encoding="utf-8") as file:
            return export_perfetto(
                recording, file, clock=clock, start=start, stop=stop, nodes=nodes, ran=ran, bars=bars
            )
    written = 0
    metadata = {"target": recording.target, "seed": str(recording.seed), "steps": recording.steps, "clock": clock}
    destination.write(f'{TRACE_START}{json.dumps(metadata)},"traceEvents":[\n')
    for event in Trace(recording, clock, nodes or {}, ran or {}, bars).events(start, stop):
        destination.write(",\n" if written else "")
        destination.write(json.dumps(event, separators=(",", ":")))
        written += 1
    destination.write("\n]}\n")
    return written


@dataclass(slots=True)
class Spot:
    """A place of the picture: where something began or ended, and on which task's track; None: between two steps."""

    at: int  # nanoseconds
    task: int | None
    time: float  # virtual seconds


@dataclass(slots=True)
class Trace:
    """The trace of one recording."""

    recording: Recording
    clock: Clock
    nodes: Mapping[str, str]
    ran: Mapping[int, Ran]
    bars: Sequence[TaskBar] = ()
    tracks: Tracks = field(init=False)
    causes: Causes[Spot | None] = field(default_factory=Causes)
    arrows: int = 0
    _origin: float | None = None  # virtual time of the first step shown
    _first: int | None = None  # where the first step shown begins
    _ready: int = 0  # end of the step before
    _left: dict[int, Span] = field(default_factory=dict)  # by task: its last step, with how it ended
    _holding: dict[tuple[int, int], list[Spot | None]] = field(default_factory=dict)  # by task and object: acquires
    _awaited: dict[tuple[int, int], Spot | None] = field(default_factory=dict)  # by task and object: since when
    _counter: float | None = None
    _latest: int = -1  # step shown
    _bars_ended: dict[int, list[TaskBar]] = field(default_factory=dict)  # by the step in which they end
    _bars_begun: dict[int, int] = field(default_factory=dict)  # by the step in which one begins: its place

    def __post_init__(self) -> None:
        for bar in self.bars:
            self._bars_begun[bar.first] = -1
            if bar.last is not None:
                self._bars_ended.setdefault(bar.last, []).append(bar)
        self.tracks = Tracks(self.recording.target or "detrun run", self.nodes)

    def events(self, start: int = 0, stop: int | None = None) -> Iterator[Event]:
        """The events of the trace, those of each track in ascending time."""
        # From the first step on, whatever is shown: pairing messages needs the count of those before.
        for step in self.recording.iter_steps(0, stop):
            if step.index >= start:
                yield from self._shown(step)
            else:
                self.causes.take(step, lambda _: None)
                yield from self._locks(step, None)
        for message in self.causes.pending():
            if message.begun is not None and message.ended is not None:
                yield from self._message_arrow(message, None)
        if self._first is not None:
            yield from self._unended(self._first)

    def _unended(self, first: int) -> Iterator[Event]:
        """What was held and waited for when the recording, or what is shown of it, ended."""
        for (task, number), begun in self._holding.items():
            for spot in begun:
                yield from self._hold_slice(self.recording.objects[number], task, spot, self._ready)
        for (task, number), spot in self._awaited.items():
            yield from self._hold_slice(self.recording.objects[number], task, spot, self._ready, waits=True)
        for bar in self.bars:
            if bar.first <= self._latest and (bar.last is None or bar.last > self._latest):
                begin = self._bars_begun[bar.first]
                yield from self._hold_slice(bar.label, bar.task, begin, self._ready, waits=bar.waits)
        for task, left in self._left.items():
            if self._ready > left.end:
                yield self.tracks.slice(self.tracks.task(task), left.name, "wait", Span(left.end, self._ready), {})

    def _shown(self, step: Step) -> Iterator[Event]:
        self._origin = step.time if self._origin is None else self._origin
        length = STEP_NANOSECONDS if self.clock == "steps" else VIRTUAL_STEP_NANOSECONDS
        begin = step.index * STEP_NANOSECONDS if self.clock == "steps" else max(self._elapsed(step.time), self._ready)
        own = Span(begin, begin + length)
        self._ready, self._latest = own.end, step.index
        self._first = begin if self._first is None else self._first
        here = Spot(own.middle, step.task, step.time)

        def place(time: float | None) -> Spot:
            if time is None:
                return here
            at = own.end if self.clock == "steps" else max(self._elapsed(time), own.end)
            return Spot(at, None, time)

        reached = self.causes.take(step, place)
        yield from self.tracks.of_task(step)
        if self.clock == "steps" and step.time != self._counter:
            self._counter = step.time
            yield self.tracks.counter("virtual time", begin, {"seconds": step.time})
        yield from self._waited(step, own, reached)
        yield self._step_slice(step, own)
        yield from self._locks(step, here)
        yield from self._struck(step, own, place)
        yield from self._arrows(step, here, reached)

    def _elapsed(self, time: float) -> int:
        return round(min((time - (self._origin or 0.0)) * 1e9, NANOSECONDS_MAX))

    # Slices of a task.

    def _step_slice(self, step: Step, own: Span) -> Event:
        arguments: dict[str, Any] = {"step": step.index, "virtual_time": step.time, "runnable": len(step.runnable)}
        if step.choice is not None:
            arguments["choice"] = step.choice
        arguments["ended_in"] = wait_shown(step.outcome)
        if step.actions:
            arguments["before"] = list(step.actions)
        if step.events:
            arguments["did"] = [event_described(event) for event in step.events]
        ran = self.ran.get(step.index)
        if ran is not None:
            arguments["lines"] = [f"{place}  {code}" for place, code in zip(ran.places, ran.code, strict=True)]
            arguments["touched"] = list(ran.touched)
        return self.tracks.slice(self.tracks.task(step.task), step_name(step, ran), "step", own, arguments)

    def _waited(self, step: Step, own: Span, reached: Reached[Spot | None]) -> Iterator[Event]:
        """What the task did since its last step: it waited until something reached it."""
        left = self._left.pop(step.task, None)
        if left is not None:
            ready = own.begin if reached.since is None else min(reached.since.at, own.begin)
            if ready > left.end:
                yield self.tracks.slice(self.tracks.task(step.task), left.name, "wait", Span(left.end, ready), {})
        if is_wait(step.outcome):
            self._left[step.task] = Span(own.begin, own.end, wait_shown(step.outcome))

    # Tracks of objects.

    def _locks(self, step: Step, here: Spot | None) -> Iterator[Event]:
        """Note what the step takes and begins to wait for; the slices that end in it, if it is shown."""
        acquired = False
        for event in step.events:
            if event.kind == "operation" and event.number is not None:
                acquired = acquired or event.operation == "acquire"
                yield from self._operated(step.task, event.number, event.operation, here)
        if self._awaited and not acquired and not step.outcome.endswith("Lock.acquire"):
            for key in [key for key in self._awaited if key[0] == step.task]:  # it waits no more, in vain
                del self._awaited[key]
        if step.index in self._bars_begun:
            self._bars_begun[step.index] = -1 if here is None else here.at
        if here is not None:
            for bar in self._bars_ended.get(step.index, ()):
                begin = self._bars_begun[bar.first]
                yield from self._hold_slice(bar.label, bar.task, begin, here.at, waits=bar.waits)

    def _operated(self, task: int, number: int, operation: str | None, here: Spot | None) -> Iterator[Event]:
        key, label = (task, number), self.recording.objects[number]
        if operation == "wait":
            self._awaited.setdefault(key, here)
        elif operation == "acquire":
            if key in self._awaited:
                since = self._awaited.pop(key)
                if here is not None:
                    yield from self._hold_slice(label, task, since, here.at, waits=True)
            self._holding.setdefault(key, []).append(here)
        elif operation == "release" and self._holding.get(key):
            begun = self._holding[key].pop()
            if not self._holding[key]:
                del self._holding[key]
            if here is not None:
                yield from self._hold_slice(label, task, begun, here.at)

    def _hold_slice(
        self, label: str, task: int, begun: Spot | int | None, end: int, *, waits: bool = False
    ) -> Iterator[Event]:
        """From a place, or from the first step shown where it begins before that."""
        begin = begun.at if isinstance(begun, Spot) else -1 if begun is None else begun
        begin = max(begin, self._first or 0)
        span = Span(begin, max(end, begin + 1))
        track, made = self.tracks.of_object(LOCKS, label, span)
        yield from made
        how = ("awaited", "waiting") if waits else ("held", "held")
        path = self.recording.tasks[task][1]
        yield self.tracks.slice(track, f"{how[0]} by {path}", how[1], span, {"object": label})

    def _struck(self, step: Step, own: Span, place: Callable[[float | None], Spot]) -> Iterator[Event]:
        time: float | None = None
        told: set[tuple[str | None, float | None]] = set()
        for event in step.events:
            time = event.time if event.kind == "time" else time
            if event.kind == "fault" and (event.label, time) not in told:
                told.add((event.label, time))
                spot = place(time)
                span = own if spot.task is not None else Span(spot.at, spot.at + own.length)
                track, made = self.tracks.of_object(FAULTS, str(event.label), span)
                yield from made
                at = {"step": step.index, "virtual_time": spot.time, "task": step.path}
                yield self.tracks.slice(track, str(event.label), "fault", span, at)

    # Arrows.

    def _arrows(self, step: Step, here: Spot, reached: Reached[Spot | None]) -> Iterator[Event]:
        for message in reached.astray:
            yield from self._message_arrow(message, None)
        for cause in reached.causes:
            if cause.kind == "message":
                yield from self._message_arrow(cause, here)
            elif cause.begun is not None and cause.begun.task is not None:
                yield from self._arrow(cause.kind, self._end_of(cause.begun), self._end_of(here))

    def _message_arrow(self, message: Cause[Spot | None], taken: Spot | None) -> Iterator[Event]:
        """The slice of a message on its channel's track, and its arrow, which ends in the step that took it."""
        begun, ended = message.begun, message.ended
        if begun is None or ended is None:
            return
        span = Span(begun.at, max(ended.at, begun.at + 1))
        track, made = self.tracks.of_object(CHANNELS, message.label, span)
        yield from made
        times = {"sent": begun.time, "arrived": ended.time, "sent_in_or_after_step": message.origin}
        yield self.tracks.slice(track, message.label, "message", span, times)
        start = (track, begun.at) if begun.task is None else self._end_of(begun)
        end = (track, span.end - 1) if taken is None else self._end_of(taken)
        yield from self._arrow(f"message {message.label}", start, end)

    def _end_of(self, spot: Spot) -> tuple[Track, int]:
        assert spot.task is not None
        return self.tracks.task(spot.task), spot.at

    def _arrow(self, name: str, begin: tuple[Track, int], end: tuple[Track, int]) -> Iterator[Event]:
        """Both ends of an arrow, written once its end is known; each binds to the slice that encloses it."""
        self.arrows += 1
        yield from self.tracks.arrow(name, self.arrows, begin, end)


def step_name(step: Step, ran: Ran | None) -> str:
    """The lines that it ran, each once, and the objects that it used; else what it did; else how it ended."""
    if ran is not None and ran.code:
        name = "; ".join(code for at, code in enumerate(ran.code) if at == 0 or code != ran.code[at - 1])
        used = dict.fromkeys(str(event.label) for event in step.events if event.kind in USES)
        objects = f" · {', '.join(used)}" if used else ""
        return _shortened(name, NAME_MAX - min(len(objects), NAME_MAX // 2)) + _shortened(objects, NAME_MAX // 2)
    said = [event_described(event) for event in step.events if event.kind not in ("time", "wake")]
    return _shortened("; ".join(said) or wait_shown(step.outcome), NAME_MAX)


def _shortened(text: str, characters_max: int) -> str:
    return text if len(text) <= characters_max else f"{text[: characters_max - 1]}…"
