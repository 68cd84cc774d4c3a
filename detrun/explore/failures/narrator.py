"""`Narrator`: hears what each step of a schedule does while it runs, and makes a `NarratedStep` of it.

It is the trace function of the run, and told of instructions, footprints, operations and faults. What it has heard of a
step is put together when the step closes.

Under preemption a thread gives way in the callback of a line or an instruction. From Python 3.12 on our trace function
hears of a line before the thread gives way there, so a line of which no instruction has begun belongs to the thread's
next step. On 3.11 the preemption calls us, afterwards (`Preemption.heard_by`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from types import FrameType
from typing import Any

import trio

from detrun.execution.heard_instructions import HAS_MONITORING, has_source
from detrun.explore.campaign.steady_paths import SteadyPaths
from detrun.explore.failures.acted import Acted, is_entered_by_collector, next_timers
from detrun.explore.failures.counts import with_counts
from detrun.explore.failures.narrated_steps import Line, Mark, NarratedFault, NarratedStep, thinned
from detrun.world.services import process_here
from detrun_recorder.divergence import faults_in
from detrun_scheduler.choices import COLLECT, FIRE, RunView
from detrun_scheduler.endings import ending_in_a_word
from detrun_scheduler.errors import DeadlockError
from detrun_scheduler.footprints.contents import ContentsObserver
from detrun_scheduler.footprints.footprints import READ, READING, WRITE, Key
from detrun_scheduler.footprints.marks import (
    Heard,
    covered,
    innermost_user_line_of_call,
    listen,
    made_objects,
)
from detrun_scheduler.footprints.places import short_name
from detrun_scheduler.footprints.watch import Watch
from detrun_scheduler.journal import CHECKPOINT, DONE, FAILED, KIND_MASK, OPERATIONS, outcome_name
from detrun_scheduler.run import ActiveRun, BegunFault
from detrun_scheduler.strategies.given import GivenSchedule
from detrun_scheduler.trio_host.pending import await_frames, pending_operation
from detrun_scheduler.user_code import innermost_user_frame

LINES_MAX = 1_000  # of one step

_KINDS = {"NumberedChannelState": "channel"}
VERBS = {
    "acquire": "acquires it",
    "release": "releases it",
    "wait": "waits for it",
    "put": "puts something in",
    "get": "takes something out",
    "join": "joins it",
}
# The order of these matters to trio and is rarely what a failure is about.
_PLUMBING = ("Nursery", "OrderedCancelStatus", "ParkingLot")


class Narrator(GivenSchedule):
    """Makes the choices and listens; oracle, verifier and watcher of the operations of the run.

    Attributes:
        kept: the steps that are kept.
        since: the first step whose lines are heard.
        until: the last one; with a finite one only the steps whose lines are heard have marks.
    """

    def __init__(
        self, choices: Sequence[int], watch: Watch, steady: SteadyPaths, kept: range, since: float, until: float
    ) -> None:
        super().__init__(choices)
        self.steady = steady
        self.kept = kept
        self.since = since
        self.until = until
        self.hears_part = until < math.inf
        self.hears_marks = True  # of the running step
        self.run_paths: Any = None  # in a run: `RunPaths`
        self.watch = watch
        self.steps: list[NarratedStep] = []
        self.index = 0  # of the running step
        self.paths: dict[int, str] = {}  # of tasks that have taken a step
        self.lines: list[Line] = []
        self.resumed: Line | None = None  # where the step went on, in the middle of a line
        self.heard: list[Heard] = []  # marks of the running step
        self.stands: dict[int, Line] = {}  # by task: where it will go on; threads under preemption have no other line
        self.names: dict[Key, str] = {}
        self.observer = ContentsObserver(self)
        self.faults: list[str] = []  # that began in this step
        self.begun: list[NarratedFault] = []
        self.nodes: dict[int, str] = {}  # by task
        self.began = 0.0  # of the running step, in virtual seconds
        self.endings: dict[int, str] = {}  # of tasks that did not return
        self.run: Any = None
        self.acted: list[Acted] = []  # what the run did by itself before the running step
        self.following: list[Acted] = []  # and before the next
        self.spawned: dict[str, int] = {}
        self.tasks_made = 0
        self.lines_begun = 0  # of which an instruction was heard
        self.carried: dict[int, list[Line]] = {}  # by task: heard before it gave way
        self.labels: Sequence[str] = ()  # of the run's objects, by number
        self.heard_until: tuple[int, int] | None = None  # so many lines and marks, when the run failed in this step
        self.stop_tracing: Callable[[], None] = lambda: None  # when all steps whose lines are heard are over

    def new_run(self, run: RunView) -> None:
        super().new_run(run)
        self.run = run
        self.run_paths = self.steady.of_run(run)
        self.watch.step.forget()
        loop: Any = run
        self.labels = loop.object_labels

    def action(self, steps: int, has_timers: bool) -> int:
        """The next given action, noted."""
        kind = super().action(steps, has_timers)
        if kind == FIRE:
            self.following.append(next_timers(self.run, self.run_paths.of))
        elif kind == COLLECT:
            self.following.append(Acted(COLLECT))
        return kind

    def operated(self, number: int, code: int, value: float | bytes) -> None:
        """Mark operations on locks, queues and threads; the others leave footprints."""
        name = OPERATIONS[code]
        if self.hears_marks and number not in covered and name in VERBS and not isinstance(value, bytes):
            key = ("operation", number)
            self.names[key] = self.labels[number]
            line = innermost_user_line_of_call(sys._getframe(2))
            self.heard.append((key, READ if code in READING else WRITE, line, VERBS[name]))

    def line(self, frame: FrameType, event: str, argument: object) -> Any:
        """The trace function, of frames and within them."""
        if event == "call":
            if self.acted and is_entered_by_collector(frame):
                code = frame.f_code
                entered = f"{code.co_qualname} ({short_name(code.co_filename)}:{code.co_firstlineno})"
                self.acted[-1].entered.append(entered)
            if not self.since <= self.index <= self.until:
                return None
            code = frame.f_code  # once: CPython raises an audit event for it
            if not has_source(code.co_filename):
                return None
            # So that plain attributes and elements have marks as well, those that tasks touch, too.
            frame.f_trace_opcodes = not HAS_MONITORING
            if frame.f_lineno != code.co_firstlineno:
                self.resumed = Line(code.co_filename, frame.f_lineno)
            return self.line
        if event not in ("line", "opcode"):
            return self.line
        self._look_for_failure()
        if event == "opcode":
            self.instruction(frame, frame.f_lasti)
        else:
            if len(self.lines) >= LINES_MAX and self.heard_until is None:
                self.lines = thinned(self.lines)
            self.lines_begun = len(self.lines)
            self.lines.append(Line(frame.f_code.co_filename, frame.f_lineno))
        return self.line

    def _look_for_failure(self) -> None:
        """What is heard of a step once the run has failed in it is its unwinding."""
        if self.heard_until is None and self.run is not None and self.run.failure is not None:
            self.heard_until = len(self.lines), len(self.heard)

    def instruction(self, frame: FrameType, offset: int) -> None:
        """An instruction of the program is about to run."""
        self._look_for_failure()
        self.lines_begun = len(self.lines)
        if offset >= 0 and self.since <= self.index <= self.until:
            self.observer.about_to_run(frame, offset)

    def access(self, key: Hashable, label: str, is_write: bool, line: str) -> None:
        """See `AccessListener`."""
        self.marked(key, label, WRITE if is_write else READ, line)

    def marked(self, key: Hashable, label: str, mode: int, line: str) -> None:
        """See `ContentsListener`."""
        place = ("place", key)
        self.names[place] = label
        self.heard.append((place, mode, line, ""))

    def fault_began(self, fault: BegunFault) -> None:
        """A fault has begun."""
        self.faults.append(fault.name)
        self.begun.append(NarratedFault(fault, self.index, float(self.run.time)))

    def step_closed(self, run: ActiveRun, task: int, outcome_byte: int, record: bytes) -> None:
        """The step is over: keep what was heard, if it is wanted."""
        path = self.paths.get(task)
        if path is None:
            path = self.paths[task] = self.run_paths.of(task)
        self.endings.update(run.journal.endings)  # also of tasks that were killed and take one more step
        run.journal.endings.clear()
        living = run.host.by_number.get(task)
        host: Any = run.host
        for number in range(self.tasks_made, host.queue.spawned):
            self.spawned[self.run_paths.of(number)] = self.index
        self.tasks_made = host.queue.spawned
        if task not in self.nodes:
            process = None if living is None else living.context.get(process_here)
            self.nodes[task] = "" if process is None else process.node.name
        if self.index in self.kept:
            self.steps.append(self._narrated(run, task, path, living, outcome_byte & KIND_MASK, record))
        self.began = float(run.time)  # what happens between two steps has happened
        # What the run does at the end of a step comes before the next one.
        self.acted, self.following = self.following, []
        self.index += 1
        self.lines, self.resumed, self.faults = [], None, []
        self.lines_begun = 0
        self.heard_until = None
        self.heard.clear()
        if self.hears_part:
            self.listen()

    def listen(self) -> None:
        """Hear marks, too, if the step that comes is one whose lines are heard; of others none are made."""
        self.hears_marks = self.since <= self.index <= self.until or not self.hears_part
        listen(self.heard if self.hears_marks else None)
        self.watch.attend(self.hears_marks)
        if self.index > self.until:
            self.stop_tracing()

    def _narrated(
        self, run: ActiveRun, task: int, path: str, living: trio.lowlevel.Task | None, kind: int, record: bytes
    ) -> NarratedStep:
        ending = self.endings.get(task)
        if kind in (DONE, FAILED):
            ended = ending_in_a_word(ending) if ending is not None else "done"
        elif kind == CHECKPOINT:
            ended = ""
        elif living is not None:
            ended = pending_operation(living)  # says more than what the wait was made of
        else:
            ended = outcome_name(kind, list(run.journal.kind_numbers))
        self.lines[:0] = carried = self.carried.pop(task, [])
        if HAS_MONITORING and kind == CHECKPOINT and ended == "" and _is_preempted(living):
            at = self.lines_begun + len(carried)
            self.carried[task] = self.lines[at:]
            del self.lines[at:]
        if not self.faults:  # of a plan, whose names say more
            self.faults = faults_in(record, list(run.journal.name_numbers))
        marks = _marks(self.heard)
        # A step that goes on in the middle of a line and does nothing there does not have it.
        if self.resumed is not None and (not self.lines or any(mark.line == self.resumed for mark in marks)):
            self.lines.insert(0, self.resumed)
        stood = self.stands.pop(task, None)
        if not self.lines and stood is not None:
            self.lines.append(stood)
        frame = None if living is None else innermost_user_frame(await_frames(living))
        if frame is not None and has_source(frame.f_code.co_filename):
            self.stands[task] = Line(frame.f_code.co_filename, frame.f_lineno)
        step = NarratedStep(self.index, path, self.lines, marks, tuple(self.acted), ended, self.faults)
        step.time, step.node = self.began, self.nodes[task]
        return step

    def open_step(self, error: BaseException | None) -> NarratedStep | None:
        """The step that the end of the run found open: a check failed in it, or its task blocks the event loop."""
        if self.run.failure is not None and self.run.failure is error:
            return self._failed_step()
        blocked = error.blocked if isinstance(error, DeadlockError) else ()
        task = next((one for one in blocked if one.blocks_loop), None)
        if task is None or not task.stack:
            return None
        lines, heard = self.heard_until or (len(self.lines), len(self.heard))
        marks = _marks(self.heard[:heard])
        while marks and not marks[-1].is_data:
            marks.pop()  # of the unwinding
        awaited = next(
            (key for key, name in self.names.items() if task.waits_for.startswith((f"{name} ", f"{name},"))), None
        )
        if awaited is not None:
            marks.append(Mark(awaited, WRITE, _line(task.stack[-1].partition(" in ")[0]), VERBS["wait"]))
        path = self.run_paths.found.get(task.number, task.path)
        return NarratedStep(
            self.index,
            path,
            self.lines[:lines],
            marks,
            tuple(self.acted),
            "the event loop, which it blocks",
            time=self.began,
        )

    def _failed_step(self) -> NarratedStep:
        lines, heard = self.heard_until or (len(self.lines), len(self.heard))
        task = self.run.current
        before = self.carried.pop(task, [])
        shown = [*before, *self.lines[:lines]]
        if not shown and task in self.stands:
            shown = [self.stands[task]]
        marks, path, node = _marks(self.heard[:heard]), self.run_paths.of(task), self.nodes.get(task, "")
        return NarratedStep(self.index, path, shown, marks, tuple(self.acted), "failed", time=self.began, node=node)

    def names_of_objects(self, run: ActiveRun) -> dict[Key, str]:
        """What reports call the objects, when the run is over."""
        made = {key: _name(run, thing) for key, thing in made_objects().items()}
        return {**self.names, **made}


def _is_preempted(task: trio.lowlevel.Task | None) -> bool:
    """Whether a thread stands between two instructions of the program, and in no call."""
    return task is not None and hasattr(task.coro, "frames") and pending_operation(task) == "line"


def _marks(heard: Sequence[Heard]) -> list[Mark]:
    return with_counts(
        [
            Mark(key, mode, _line(place), verb or ("reads" if mode == READ else "changes"))
            for key, mode, place, verb in heard
        ]
    )


@lru_cache(maxsize=1 << 16)
def _line(place: str) -> Line | None:
    file, _, number = place.rpartition(":")
    return Line(file, int(number)) if has_source(file) else None


def _name(run: ActiveRun, thing: object) -> str:
    number = getattr(thing, "_number", None)
    if isinstance(number, int) and 0 <= number < len(run.object_labels):
        return run.object_labels[number]
    kind = type(thing).__name__
    return "" if kind in _PLUMBING else _KINDS.get(kind, kind)
