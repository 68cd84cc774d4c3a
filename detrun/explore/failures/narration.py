"""Narration of a schedule, step by step: the lines of the program that each step ran, and the objects that it touched.

The schedule is run once more with everything on: a trace function notes the user's lines, footprints the operations
with the lines that made them. Nothing of it is recorded, and the run makes the same choices again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

import trio

from detrun.execution.execute import execute
from detrun.execution.options import preemption_of
from detrun.explore.campaign.program import Program
from detrun.explore.campaign.schedules import ScheduleJournal
from detrun_scheduler.choices import COLLECT, FIRE, RunView
from detrun_scheduler.footprints.footprints import READ, READING, WRITE, Key
from detrun_scheduler.footprints.marks import (
    OBSERVED_ACCESSES,
    Heard,
    covered,
    innermost_user_line_of_call,
    listen,
    made_objects,
)
from detrun_scheduler.footprints.watch import Watch
from detrun_scheduler.journal import CHECKPOINT, DONE, FAILED, KIND_MASK, OPERATIONS, outcome_name
from detrun_scheduler.run import ActiveRun, RunHooks
from detrun_scheduler.strategies.given import GivenSchedule
from detrun_scheduler.trio_host.pending import await_frames, pending_operation
from detrun_scheduler.user_code import innermost_user_frame, is_user_file

LINES_MAX = 200  # of one step
STEPS_MAX = 20_000

_KINDS = {"NumberedChannelState": "channel"}
_VERBS = {
    "acquire": "acquires it",
    "release": "releases it",
    "wait": "waits for it",
    "put": "puts something in",
    "get": "takes something out",
    "join": "joins it",
}
# The order of these matters to trio and is rarely what a failure is about.
_PLUMBING = ("Nursery", "CancelScope", "OrderedCancelStatus", "ParkingLot")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the program."""

    file: str
    number: int

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


@dataclass(frozen=True, slots=True)
class Mark:
    """A step touched an object.

    Attributes:
        verb: ``"reads"`` or ``"changes"``, or what the step does to a primitive of `threading`.
    """

    key: Key
    mode: int
    line: Line | None
    verb: str


@dataclass(slots=True)
class NarratedStep:
    """One step."""

    index: int
    task: str
    lines: list[Line] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    before: tuple[str, ...] = ()  # what the run did by itself before this step
    ended: str = ""  # "", "done", "failed", "cancelled", or what the task waits for


@dataclass(slots=True)
class Narration:
    """A whole schedule.

    Attributes:
        names: what reports call the objects.
    """

    steps: list[NarratedStep]
    names: dict[Key, str]

    def name_of(self, key: Key) -> str:
        """The object's name in reports, empty for what is not an object of the user's."""
        if key in self.names:
            return self.names[key]
        if isinstance(key, tuple) and len(key) == 2 and key[0] in self.names:
            return f"{self.names[key[0]]}[{key[1]}]"
        return ""


class _Narrator(GivenSchedule):
    """Makes the choices and listens; oracle, verifier and watcher of the operations of the run."""

    def __init__(self, choices: Sequence[int], watch: Watch) -> None:
        super().__init__(choices)
        self.watch = watch
        self.steps: list[NarratedStep] = []
        self.index = 0  # of the running step
        self.paths: dict[int, str] = {}  # of tasks that have taken a step
        self.lines: list[Line] = []
        self.resumed: Line | None = None  # where the step went on, in the middle of a line
        self.heard: list[Heard] = []  # marks of the running step
        self.stands: dict[int, Line] = {}  # by task: where it will go on; threads under preemption have no other line
        self.names: dict[Key, str] = {}
        self.raised: object = None  # the type of the exception last raised in this step
        self.threads_failed = 0
        self.run: Any = None
        self.acted: list[str] = []  # what the run did by itself before the running step
        self.following: list[str] = []  # and before the next
        self.labels: Sequence[str] = ()  # of the run's objects, by number

    def new_run(self, run: RunView) -> None:
        super().new_run(run)
        self.run = run
        self.watch.step.forget()
        loop: Any = run
        self.labels = loop.object_labels

    def action(self, steps: int, has_timers: bool) -> int:
        """The next given action, in words."""
        kind = super().action(steps, has_timers)
        if kind == FIRE:
            self.following.append(f"time passes: {_next_timers(self.run)}")
        elif kind == COLLECT:
            self.following.append("the garbage collector runs")
        return kind

    def operated(self, number: int, code: int, value: float | bytes) -> None:
        """Mark operations on locks, queues and threads; the others leave footprints."""
        name = OPERATIONS[code]
        if number not in covered and name in _VERBS and not isinstance(value, bytes):
            key = ("operation", number)
            self.names[key] = self.labels[number]
            line = innermost_user_line_of_call(sys._getframe(2))
            self.heard.append((key, READ if code in READING else WRITE, line, _VERBS[name]))

    def line(self, frame: FrameType, event: str, argument: object) -> Any:
        """The trace function, of frames and within them."""
        if event == "call":
            if not _has_source(frame.f_code.co_filename):
                return None
            # So that plain attributes and elements have marks as well, those that tasks touch, too.
            frame.f_trace_opcodes = True
            if frame.f_lineno != frame.f_code.co_firstlineno:
                self.resumed = Line(frame.f_code.co_filename, frame.f_lineno)
            return self.line
        if event == "line" and len(self.lines) < LINES_MAX:
            self.lines.append(Line(frame.f_code.co_filename, frame.f_lineno))
        elif event == "opcode" and frame.f_lasti >= 0:
            OBSERVED_ACCESSES.about_to_run(frame, frame.f_lasti)
        elif event == "exception":
            self.raised = argument[0]  # type: ignore[index]
        return self.line

    def step_closed(self, run: ActiveRun, task: int, outcome_byte: int, record: bytes) -> None:
        """The step is over: keep what was heard."""
        path = self.paths.get(task)
        if path is None:
            path = self.paths[task] = run.path_of(task)
        kind = outcome_byte & KIND_MASK
        failed = len(run.thread_failures) > self.threads_failed
        self.threads_failed = len(run.thread_failures)
        living = run.host.by_number.get(task)
        if kind == FAILED or failed:
            ended = "cancelled" if self.raised is trio.Cancelled else "failed"
        elif kind == DONE:
            ended = "done"
        elif kind == CHECKPOINT:
            ended = ""
        elif living is not None:
            ended = pending_operation(living)  # says more than what the wait was made of
        else:
            ended = outcome_name(kind, list(run.journal.kind_numbers))
        marks = [
            Mark(key, mode, _line(place), verb or ("reads" if mode == READ else "changes"))
            for key, mode, place, verb in self.heard
        ]
        # A step that goes on in the middle of a line and does nothing there does not have it.
        if self.resumed is not None and (not self.lines or any(mark.line == self.resumed for mark in marks)):
            self.lines.insert(0, self.resumed)
        stood = self.stands.pop(task, None)
        if not self.lines and stood is not None:
            self.lines.append(stood)
        frame = None if living is None else innermost_user_frame(await_frames(living))
        if frame is not None and _has_source(frame.f_code.co_filename):
            self.stands[task] = Line(frame.f_code.co_filename, frame.f_lineno)
        if len(self.steps) < STEPS_MAX:
            self.steps.append(NarratedStep(self.index, path, self.lines, marks, tuple(self.acted), ended))
        # What the run does at the end of a step comes before the next one.
        self.acted, self.following = self.following, []
        self.index += 1
        self.lines, self.resumed, self.raised = [], None, None
        self.heard.clear()

    def names_of_objects(self, run: ActiveRun) -> dict[Key, str]:
        """What reports call the objects, when the run is over."""
        made = {key: _name(run, thing) for key, thing in made_objects().items()}
        return {**self.names, **made, **OBSERVED_ACCESSES.labels}


def _line(place: str) -> Line | None:
    file, _, number = place.rpartition(":")
    return Line(file, int(number)) if _has_source(file) else None


def _name(run: ActiveRun, thing: object) -> str:
    number = getattr(thing, "_number", None)
    if isinstance(number, int) and 0 <= number < len(run.object_labels):
        return run.object_labels[number]
    kind = type(thing).__name__
    return "" if kind in _PLUMBING else _KINDS.get(kind, kind)


def _next_timers(run: Any) -> str:
    """Whose timers fire next, in words; a run has few that fire at one time."""
    timers = run.timers
    time = timers.next_time()
    names = []
    for at, sequence, key, _ in sorted(timers.heap, key=lambda entry: entry[:2]):
        if at == time and timers.live.get(key) == sequence:
            number = run.host.numbers.get(key) if isinstance(key, trio.lowlevel.Task) else None
            if number is not None:
                names.append(f"the timer of {run.path_of(number)} fires")
            else:
                names.append("a time-out strikes" if isinstance(key, trio.CancelScope) else "something is due")
    return f"{', '.join(dict.fromkeys(names))} ({time:.9g} s)"


def _has_source(file: str) -> bool:
    # Generated code (of attrs, of dataclasses, of enum) has names in angle brackets and nothing to show.
    return bool(file) and not file.startswith("<") and is_user_file(file)


def narrate(program: Program, seed: int, choices: Sequence[int]) -> Narration:
    """Run one schedule and narrate it."""
    options = program.options
    preemption = preemption_of(program.main, options)
    observer = None if preemption is None else preemption.observer
    if preemption is not None and preemption.by_opcode:
        # The one that is there gets an observer: under sys.monitoring a second would interrupt threads a second time.
        preemption.observer = OBSERVED_ACCESSES
        options = replace(options, preemption=preemption, include=(), exclude=())
    with Watch() as watch:
        narrator = _Narrator(choices, watch)
        before = sys.gettrace()
        listen(narrator.heard)
        # Early releases of Python 3.12 look only here, in `settrace`, whether any frame has asked for opcodes.
        sys._getframe().f_trace_opcodes = True
        sys.settrace(narrator.line)
        if preemption is not None:
            preemption.install_again()
        try:
            run, _ = execute(
                program.main,
                program.args,
                oracle=narrator,
                seed=seed,
                journal=ScheduleJournal(),
                verifier=narrator,
                options=options,
                hooks=RunHooks(operation_watchers=[narrator]),
            )
        finally:
            sys.settrace(before)
            sys._getframe().f_trace_opcodes = False
            listen(None)
            if preemption is not None:
                preemption.observer = observer
                preemption.install_again()
        return Narration(narrator.steps, narrator.names_of_objects(run))
