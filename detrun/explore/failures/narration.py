"""Narration of a schedule, step by step: the lines of the program that each step ran, and the objects that it touched.

The schedule is run once more with everything on: a trace function notes the user's lines and what they do to
attributes, elements and containers, footprints the operations on primitives with the lines that made them. Nothing of
it is recorded, and the run makes the same choices again.

Under preemption a thread gives way in the callback of a line or an instruction. From Python 3.12 on our trace function
hears of a line before the thread gives way there, so a line of which no instruction has begun belongs to the thread's
next step. On 3.11 the preemption calls us, afterwards (`Preemption.heard_by`).
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from types import FrameType
from typing import Any

import outcome
import trio

from detrun.execution.execute import execute
from detrun.execution.heard_instructions import HAS_MONITORING, HeardInstructions
from detrun.execution.options import preemption_of
from detrun.execution.schedules import ScheduleJournal
from detrun.explore.campaign.program import Program
from detrun.explore.campaign.steady_paths import SteadyPaths
from detrun.explore.failures.acted import Acted, is_entered_by_collector, next_timers
from detrun.explore.failures.counts import pass_over_unread, with_counts
from detrun.explore.failures.narrated_steps import Line, Mark, NarratedStep, function_of
from detrun.world.services import process_here
from detrun_recorder.divergence import faults_in
from detrun_scheduler.choices import COLLECT, FIRE, RunView
from detrun_scheduler.endings import ending_in_a_word, exception_leaves
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
from detrun_scheduler.journal import CHECKPOINT, DONE, FAILED, KIND_MASK, OPERATIONS, Journal, outcome_name
from detrun_scheduler.run import ActiveRun, BegunFault, FaultSpan, RunHooks
from detrun_scheduler.strategies.given import GivenSchedule
from detrun_scheduler.trio_host.pending import await_frames, pending_operation
from detrun_scheduler.user_code import innermost_user_frame, is_user_file

LINES_MAX = 1_000  # of one step
STEPS_MAX = 20_000

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


@dataclass(frozen=True, slots=True)
class NarratedFault:
    """A planned fault that began in this step, at this virtual time; see `BegunFault`."""

    fault: BegunFault
    step: int
    time: float


@dataclass(frozen=True, slots=True)
class GivenRun:
    """What makes the run of a narration again, with its program."""

    seed: int
    choices: Sequence[int]
    fault_spans: Mapping[str, FaultSpan]


@dataclass(slots=True)
class Narration:
    """A whole schedule, or some of its steps.

    Attributes:
        steps: those that are kept, in their order.
        names: what reports call the objects.
        spawned: by the path of a task, the step that made it.
        open_step: in which a check ended the run, or a task blocked the event loop for good; no recording has it.
        faults: of plans, in the order in which they began.
        nodes: of a world: by the path of a task whose code is a node's, the node.
        made_by: None where it was made by hand.
    """

    steps: list[NarratedStep]
    names: dict[Key, str]
    spawned: dict[str, int] = field(default_factory=dict)
    open_step: NarratedStep | None = None
    faults: list[NarratedFault] = field(default_factory=list)
    nodes: dict[str, str] = field(default_factory=dict)
    made_by: GivenRun | None = None
    _counted: dict[int, tuple[Counter[Line], Counter[tuple[str, str]]]] = field(default_factory=dict, repr=False)

    def line_counts(self) -> Counter[Line]:
        """How many steps run each line."""
        return self._counts()[0]

    def function_counts(self) -> Counter[tuple[str, str]]:
        """How many steps run each function, by file and name."""
        return self._counts()[1]

    def _counts(self) -> tuple[Counter[Line], Counter[tuple[str, str]]]:
        """Kept for as many steps as there are: an explanation takes away those that its failing schedule has not."""
        found = self._counted.get(len(self.steps))
        if found is None:
            lines = Counter(line for step in self.steps for line in set(step.lines))
            functions = Counter(
                function for step in self.steps for function in {function_of(line) for line in step.lines}
            )
            found = self._counted[len(self.steps)] = lines, functions
        return found

    def name_of(self, key: Key) -> str:
        """The object's name in reports, empty for what is not an object of the user's."""
        if key in self.names:
            return self.names[key]
        if isinstance(key, tuple) and len(key) == 2 and key[0] in self.names:
            return f"{self.names[key[0]]}[{key[1]}]"
        return ""


class _NarratedJournal(ScheduleJournal):
    """A campaign's journal that says how tasks end."""

    __slots__ = ()
    ended = Journal.ended


class _Narrator(GivenSchedule):
    """Makes the choices and listens; oracle, verifier and watcher of the operations of the run."""

    def __init__(
        self, choices: Sequence[int], watch: Watch, steady: SteadyPaths, since: float = 0, wanted: range | None = None
    ) -> None:
        super().__init__(choices)
        self.steady = steady
        self.wanted = range(STEPS_MAX) if wanted is None else wanted  # the steps that are kept
        self.hears_part = wanted is not None
        self.hears_marks = True  # of the running step
        # The lines of earlier steps are not heard, nor of later ones; the step after the last may fail and be told.
        self.since: float = since if wanted is None else wanted.start
        self.until: float = math.inf if wanted is None else wanted.stop
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
            if not _has_source(code.co_filename):
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
            if len(self.lines) >= LINES_MAX:
                del self.lines[LINES_MAX // 2]  # the last ones say how the step ended
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
        if self.index in self.wanted:
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
        if frame is not None and _has_source(frame.f_code.co_filename):
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
    return Line(file, int(number)) if _has_source(file) else None


def _name(run: ActiveRun, thing: object) -> str:
    number = getattr(thing, "_number", None)
    if isinstance(number, int) and 0 <= number < len(run.object_labels):
        return run.object_labels[number]
    kind = type(thing).__name__
    return "" if kind in _PLUMBING else _KINDS.get(kind, kind)


@cache  # asked at every call while lines are heard
def _has_source(file: str) -> bool:
    # Generated code (of attrs, of dataclasses, of enum) has names in angle brackets and nothing to show.
    return bool(file) and not file.startswith("<") and is_user_file(file)


def narrate(
    program: Program,
    seed: int,
    choices: Sequence[int],
    hooks: RunHooks | None = None,
    since: float = 0,
    wanted: range | None = None,
) -> Narration:
    """Run one schedule and narrate it.

    Args:
        hooks: what else the run is given; completed here.
        since: the step from which on it is told what lines are run, which takes most of the time; infinity for none.
        wanted: the only steps that are kept and of which it is told so; None for the first `STEPS_MAX`.
    """
    options = program.options
    preemption = preemption_of(program.main, options)
    if preemption is not None:
        options = replace(options, preemption=preemption, include=(), exclude=())
    hooks = hooks or RunHooks()
    with Watch() as watch:
        narrator = _Narrator(choices, watch, program.paths, since, wanted)
        hooks.operation_watchers.append(narrator)
        hooks.fault_began = narrator.fault_began
        instructions = HeardInstructions(narrator.instruction, _has_source)
        before = sys.gettrace()

        def stop_tracing() -> None:
            instructions.__exit__(None, None, None)
            if preemption is None:  # on 3.11 the trace function is its own
                sys.settrace(None)
            narrator.stop_tracing = lambda: None

        narrator.stop_tracing = stop_tracing
        narrator.listen()
        sys.settrace(narrator.line)
        if preemption is not None:
            preemption.heard_by = narrator.line
            preemption.install_again()
        instructions.__enter__()
        try:
            run, ended = execute(
                program.main,
                program.args,
                oracle=narrator,
                seed=seed,
                journal=_NarratedJournal(),
                verifier=narrator,
                options=options,
                hooks=hooks,
            )
        finally:
            instructions.__exit__(None, None, None)
            sys.settrace(before)
            listen(None)
            if preemption is not None:
                preemption.heard_by = None
                preemption.install_again()
        error = exception_leaves(ended.error)[0] if isinstance(ended, outcome.Error) else None
        names = narrator.names_of_objects(run)
        open_step = narrator.open_step(error)
        pass_over_unread(narrator.steps if open_step is None else [*narrator.steps, open_step])
        nodes = {narrator.paths[task]: node for task, node in narrator.nodes.items() if node}
        given = GivenRun(seed, choices, hooks.fault_spans)
        return Narration(narrator.steps, names, narrator.spawned, open_step, narrator.begun, nodes, given)
