"""`CarryingLines`: which lines of the program used a parameter, and by which of them a derivative flowed on.

The differentiated run is made once more with its tape on, and heard instruction by instruction: what an instruction has
put on the tape belongs to its line, what a library did for it, too. Contributions of the entries are those of
`detrun.gradients.credit` and `detrun.gradients.flow`, summed by line within each step, so they add up to what these say
of the step. Only runs that were taped from end to end have contributions; of others the lines of steps are known.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NamedTuple

import outcome

from detrun.ad import state
from detrun.ad.reverse import backward
from detrun.ad.tape import Tape
from detrun.ad.torch_bridge import LeafGradients, is_tensor, number_of
from detrun.ad.value import Value
from detrun.execution.heard_instructions import HAS_MONITORING, HeardInstructions, has_source
from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun.execution.scope import RunScope
from detrun.gradients.credit import ParameterUses, mark_step
from detrun.gradients.flow import passages
from detrun.pages.source import SourceLines
from detrun.races.watch import replayed_run
from detrun.world.services import process_here
from detrun_recorder.recording import Recording
from detrun_scheduler.errors import UsageError
from detrun_scheduler.run import ActiveRun, RunHooks

STEPS_MAX = 20_000  # that are heard


class Place(NamedTuple):
    """A line of the program."""

    file: str
    number: int


ByPlace = dict[Place, float]  # contributions


@dataclass(slots=True)
class CarryingLines:
    """Contributions by line.

    Attributes:
        source: the lines of the first `STEPS_MAX` steps.
        nodes: of a world, by the path of a task.
        credit: by parameter and step, what each line that used the parameter contributed.
        flow: by parameter and pair of steps, what flowed by each line of the later one.
    """

    source: SourceLines = field(default_factory=SourceLines)
    nodes: dict[str, str] = field(default_factory=dict)
    credit: dict[str, dict[int, ByPlace]] = field(default_factory=dict)
    flow: dict[str, dict[tuple[int, int], ByPlace]] = field(default_factory=dict)


def carrying_lines(
    main: Main, numbers: Mapping[str, float], recording: Recording, options: Options, *, tapes: bool
) -> CarryingLines:
    """Make the run again and listen.

    Args:
        numbers: the parameters.
        tapes: with its tape; without, only the lines of steps are known.

    Raises:
        DetrunError: it cannot be made again, or not differentiated, or its threads give way between instructions.
    """
    options = options.with_recorded(recording, main)
    if options.preemption not in (None, "sync"):
        raise UsageError("its threads give way within lines, where they cannot be heard, too")
    listening = _Listening(numbers, tapes)
    with ExitStack() as stack:
        if HAS_MONITORING:
            stack.enter_context(HeardInstructions(listening.instruction, has_source))
        else:
            stack.callback(sys.settrace, sys.gettrace())
            sys.settrace(listening.trace)
        finished = replayed_run(recording).execute(main, (), options, listening)
    if isinstance(finished.outcome, outcome.Error):
        raise finished.outcome.error
    return listening.found


class _Listening(RunScope):
    """Notes which line ran in which step and put what on the tape, and sweeps that."""

    def __init__(self, numbers: Mapping[str, float], tapes: bool) -> None:
        self.numbers = numbers
        self.tapes = tapes
        self.found = CarryingLines()
        self.values: dict[str, Value] = {}
        self.run: ActiveRun | None = None
        self.ran: list[Place] = []  # in the running step
        self.begins: list[int] = []  # ids of entries with which a line begins to put something on the tape
        self.places: list[Place | None] = []
        self.place: Place | None = None
        self.seen = 0

    def contribute(self, hooks: RunHooks) -> None:
        """Be told where a step ends."""
        hooks.after_step.append(self._step_taken)

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """Start the tape; the parameters are its first entries."""
        self.run = run
        if not self.tapes:
            return (dict(self.numbers),)
        state.start_tape()
        self.values = {name: Value(number) for name, number in self.numbers.items()}
        return ({**self.values},)

    def trace(self, frame: FrameType, event: str, argument: object) -> Any:
        """The trace function of Python 3.11."""
        if event == "call":
            if not has_source(frame.f_code.co_filename):
                return None
            frame.f_trace_opcodes = True
        elif event == "opcode":
            self.instruction(frame, frame.f_lasti)
        return self.trace

    def instruction(self, frame: FrameType, offset: int) -> None:
        """An instruction of the program is about to run: what is new on the tape is of those before it."""
        run = self.run
        if run is None or run.step_index >= STEPS_MAX:
            return
        place = Place(frame.f_code.co_filename, frame.f_lineno)
        if not self.ran or self.ran[-1] != place:
            self.ran.append(place)
        self._note(place)

    def _step_taken(self, run: ActiveRun) -> None:
        self._note(None)
        mark_step(run)
        if self.ran:
            self.found.source.add(run.step_index, self.ran)
            self.ran = []
        path = run.paths.get(run.current, "")
        if path not in self.found.nodes:
            living = run.host.by_number.get(run.current)
            process = None if living is None else living.context.get(process_here)
            self.found.nodes[path] = "" if process is None else process.node.name

    def _note(self, following: Place | None) -> None:
        if state.tape is None:
            return
        end = state.tape.end_id
        if end != self.seen:
            self.begins.append(self.seen)
            self.places.append(self.place)
            self.seen = end
        self.place = following

    def end(self, ended: outcome.Outcome[Any]) -> outcome.Outcome[Any]:
        """Sweep back from the loss, if the program returned one."""
        self._note(None)
        if self.run is not None and self.ran:
            self.found.source.add(self.run.step_index, self.ran)
        self.run = None
        if self.tapes:
            loss: Any = ended.value if isinstance(ended, outcome.Value) else None
            if is_tensor(loss) and loss.numel() == 1:
                loss = number_of(loss)
            tape = state.stop_tape()
            if isinstance(loss, Value):
                with LeafGradients(keep=True):
                    adjoints = backward(tape, {loss.id: 1.0}, wanted=range(tape.first_id, tape.end_id))
                self._sum_up(tape, adjoints)
        return ended

    def _sum_up(self, tape: Tape, adjoints: Mapping[int, Any]) -> None:
        ids = {name: value.id for name, value in self.values.items()}
        for name, uses in ParameterUses.of(tape, ids).uses.items():
            by_step = self.found.credit[name] = {}
            for entry, partial in uses:
                adjoint = adjoints.get(entry, 0.0)
                if adjoint:
                    self._add(by_step.setdefault(tape.step_of(entry) or 0, {}), entry, adjoint * partial)
            by_pair = self.found.flow[name] = {}
            for origin, target, entry, contribution in passages(tape, ids[name], adjoints):
                self._add(by_pair.setdefault((origin, target), {}), entry, contribution)

    def _add(self, by_place: ByPlace, entry: int, contribution: float) -> None:
        place = self.places[bisect_right(self.begins, entry) - 1]
        if place is not None:
            by_place[place] = by_place.get(place, 0.0) + contribution
