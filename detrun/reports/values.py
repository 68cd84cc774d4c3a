"""What variables and shared objects held between the steps of a run, for a reader who goes through it step by step.

The run is made once more, and looked at after each of its last `STEPS_MAX` steps, at whose end it failed: local
variables of every task, contents of cells and channels. That costs tens of milliseconds a step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from detrun.explore.failures.listing import shown_place
from detrun.explore.failures.narrated_steps import Line
from detrun.inspection.moments import capture
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.visible import visible_line

STEPS_MAX = 250


@dataclass(slots=True)
class Values:
    """By how many steps were taken: what each task and each shared object held then, as texts.

    Args:
        next: the number of steps after which it looks first.
    """

    next: float = 1
    tasks: dict[int, dict[str, list[str]]] = field(default_factory=dict)
    objects: dict[int, dict[str, str]] = field(default_factory=dict)

    def look(self, run: ActiveRun) -> None:
        """See `detrun.reports.pauses.Looker`."""
        moment = capture(run, run.step_index)
        self.tasks[moment.step] = {
            visible_line(task.path): [
                visible_line(text)
                for frame in task.stack
                for text in (
                    f"{shown_place(Line(frame.file, frame.line))} in {frame.function}",
                    *(f"  {name} = {value}" for name, value in frame.locals.items()),
                )
            ]
            for task in moment.tasks
            if task.stack
        }
        channels = {one.label: ", ".join(one.messages) or "empty" for one in moment.channels}
        held = {**channels, **{one.label: one.content for one in moment.cells}}
        self.objects[moment.step] = {visible_line(name): visible_line(content) for name, content in held.items()}
        moment.close()
        self.next = moment.step + 1

    def document(self) -> dict[str, Any]:
        """As plain JSON values: what changed at each step, from which the rest follows."""
        return {"tasks": _changes(self.tasks), "objects": _changes(self.objects)}


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
