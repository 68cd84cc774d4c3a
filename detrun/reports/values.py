"""What variables and shared objects held after each turn of a run, for a reader who goes through it turn by turn.

A *turn* is a stretch of steps of one task, a row of a schedule (`listing.rows_of`). The run is made once more and
looked at where a turn ends: local variables of every task, contents of cells and channels. Where there are more turns
than `TURNS_MAX`, some are left out, which the page says.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from detrun.execution.execute import execute
from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun.execution.schedules import ScheduleJournal, unpacked
from detrun.explore.failures.listing import shown_place
from detrun.explore.failures.narrated_steps import Line
from detrun.explore.failures.narration import Narration
from detrun.inspection.moments import capture, shown_objects
from detrun.reports.pauses import Pauses
from detrun_recorder.recording import Recording
from detrun_scheduler.choices import FIRST_ACTION
from detrun_scheduler.frozen_heap import frozen_heap
from detrun_scheduler.run import ActiveRun, RunHooks
from detrun_scheduler.strategies.given import GivenSchedule
from detrun_scheduler.visible import visible_line

TURNS_MAX = 500


class Stood(NamedTuple):
    """A line of the program in which a task stood, with the local variables of its function."""

    place: str
    function: str
    variables: Mapping[str, str]


@dataclass(slots=True)
class Values:
    """By how many steps were taken: what each task and each shared object held then, as texts.

    Args:
        ends: after how many steps a turn is over, ascending; the last `TURNS_MAX` of them are looked at.
        older: objects that exist before the run, see `capture`.

    Attributes:
        left_after: turns after those of ``ends``.
    """

    ends: Sequence[int]
    older: Sequence[Any] = ()
    tasks: dict[int, dict[str, list[Stood]]] = field(default_factory=dict)
    objects: dict[int, dict[str, str]] = field(default_factory=dict)
    moments: Sequence[int] = field(init=False)
    next: float = field(init=False)
    left_after: int = 0

    def __post_init__(self) -> None:
        self.moments = self.ends[-TURNS_MAX:]
        self.next = self.moments[0] if self.moments else math.inf

    def look(self, run: ActiveRun) -> None:
        """See `detrun.reports.pauses.Looker`."""
        moment = capture(run, run.step_index, self.older)
        self.tasks[moment.step] = {
            visible_line(task.path): [
                Stood(
                    visible_line(shown_place(Line(frame.file, frame.line))),
                    visible_line(frame.function.rpartition("<locals>.")[2]),
                    {visible_line(name): visible_line(value) for name, value in frame.locals.items()},
                )
                for frame in task.stack
            ]
            for task in moment.tasks
            if task.stack
        }
        channels = {one.label: ", ".join(one.messages) or "empty" for one in moment.channels}
        held = {**channels, **{one.label: one.content for one in moment.cells}}
        self.objects[moment.step] = {visible_line(name): visible_line(content) for name, content in held.items()}
        moment.close()
        later = bisect_right(self.moments, run.step_index)
        self.next = self.moments[later] if later < len(self.moments) else math.inf

    def document(self) -> dict[str, Any]:
        """As plain JSON values: what changed at each moment, from which the rest follows."""
        return {
            "tasks": _changes(self.tasks),
            "objects": _changes(self.objects),
            "since": self.moments[0] if self.moments else 0,
            "until": self.moments[-1] if self.left_after else None,
            "leftOut": len(self.ends) - len(self.moments),
            "leftAfter": self.left_after,
        }


def turn_ends(steps: Iterable[tuple[int, str, bool]]) -> list[int]:
    """After how many steps each turn is over, ascending.

    What the last turn leaves behind is gone when it is over, so of that one it is the moment before its last step.

    Args:
        steps: of each its index, the path of its task, and whether the run acted by itself before it.
    """
    ends: list[int] = []
    running, last = "", 0
    for index, task, acted in steps:
        if task == "<init>":
            continue
        if running and (task != running or acted):
            ends.append(index)
        running, last = task, index
    if last > (ends[-1] if ends else 0):
        ends.append(last)
    return ends


def recorded_turn_ends(recording: Recording) -> list[int]:
    """Of the turns of a recording."""
    return turn_ends((step.index, step.path, bool(step.actions)) for step in recording.iter_steps())


def values_of(narration: Narration, since: int, main: Main, args: Sequence[object], options: Options) -> Values | None:
    """The values of a narrated run that no recording has, such as the nearest one that passes.

    Args:
        since: the number of steps after which to look first; from there on up to `TURNS_MAX` turns.
        options: of the program.

    Returns:
        None if the run cannot be made again, or does not take the same turns.
    """
    given = narration.made_by
    if given is None:
        return None
    ends = turn_ends((step.index, step.task, bool(step.before)) for step in narration.steps)
    later = [end for end in ends if end >= since]
    moments = later[:TURNS_MAX]
    if not moments:
        return None
    values = Values(moments, shown_objects(), left_after=len(later) - len(moments))
    journal = ScheduleJournal()
    options = replace(options, max_steps=moments[-1] + 1)
    with frozen_heap():
        execute(
            main,
            args,
            oracle=GivenSchedule(given.choices),
            seed=given.seed,
            journal=journal,
            options=options,
            scope=Pauses([values], []),
            hooks=RunHooks(fault_spans=given.fault_spans),
        )
    # A run that fails or goes another way makes other choices.
    made = [choice for choice in unpacked(journal.schedule) if choice < FIRST_ACTION]
    wanted = [choice for choice in given.choices if choice < FIRST_ACTION]
    return values if made[: len(wanted)] == wanted[: len(made)] else None


def _changes(states: dict[int, dict[str, Any]]) -> list[list[Any]]:
    """Each state as its step and what is new or other in it; what has gone is None."""
    found: list[list[Any]] = []
    before: dict[str, Any] = {}
    for step, state in states.items():
        changed = {name: value for name, value in state.items() if name not in before or before[name] != value}
        changed.update({name: None for name in before if name not in state})
        if changed:
            found.append([step, changed])
        before = state
    return found
