"""Narration of a schedule, step by step: the lines of the program that each step ran, and the objects that it touched.

The schedule is run once more with everything on: a trace function notes the user's lines and what they do to
attributes, elements and containers, footprints the operations on primitives with the lines that made them. Nothing of
it is recorded, and the run makes the same choices again.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import outcome

from detrun.execution.execute import execute
from detrun.execution.heard_instructions import HeardInstructions, has_source
from detrun.execution.options import preemption_of
from detrun.execution.schedules import ScheduleJournal
from detrun.explore.campaign.program import Program
from detrun.explore.failures.counts import pass_over_unread
from detrun.explore.failures.narrated_steps import Line, NarratedFault, NarratedStep, function_of
from detrun.explore.failures.narrator import Narrator
from detrun_scheduler.endings import exception_leaves
from detrun_scheduler.footprints.footprints import Key
from detrun_scheduler.footprints.marks import (
    listen,
)
from detrun_scheduler.footprints.watch import Watch
from detrun_scheduler.journal import Journal
from detrun_scheduler.run import FaultSpan, RunHooks

STEPS_MAX = 20_000


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
        if wanted is None:
            narrator = Narrator(choices, watch, program.paths, range(STEPS_MAX), since, math.inf)
        else:  # also the lines of the step after the last, which may fail and be told
            narrator = Narrator(choices, watch, program.paths, wanted, wanted.start, wanted.stop)
        hooks.operation_watchers.append(narrator)
        hooks.fault_began = narrator.fault_began
        instructions = HeardInstructions(narrator.instruction, has_source)
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
