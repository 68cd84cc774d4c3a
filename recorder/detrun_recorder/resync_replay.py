"""Resync: a recording is followed as far as an edited program still resembles it.

The oracle keeps of a recording only the relative order of steps. A step is known by its task's path, by what the task
resumes from, and by how many such steps the task has taken; among the runnable tasks the one whose next step comes
first in the recording steps next. Tasks and steps that the recording does not know wait for those that it does, and
where it knows none the fallback strategy chooses. So a rare interleaving survives an edit to the program, and the
report says how many steps had no counterpart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from detrun_recorder.recording import Recording
from detrun_scheduler.choices import KeyedDraws, Oracle, RunView
from detrun_scheduler.journal import DONE, FAILED, KIND_MASK, outcome_name
from detrun_scheduler.run import ActiveRun

UNMATCHED_PLACES_MAX = 100


@dataclass(slots=True)
class ResyncReport:
    """How far a resync replay could follow its recording."""

    steps: int = 0
    unmatched: int = 0  # steps that have no counterpart in the recording
    places: list[tuple[int, str, str]] = field(default_factory=list)  # first ones: (step, task path, resumed from)

    @property
    def matched(self) -> int:
        """Steps that followed the recording."""
        return self.steps - self.unmatched


class ResyncReplay(KeyedDraws):
    """Follows a recording where the program still resembles it; both oracle and verifier of the run.

    Args:
        recording: the schedule to follow.
        fallback: chooses among tasks that the recording does not know.
    """

    def __init__(self, recording: Recording, fallback: Oracle) -> None:
        self.recording = recording
        self.fallback = fallback
        self.report = ResyncReport()
        # (path, resumed from) -> positions in the recording of such steps, ascending
        self.positions: dict[tuple[str, str], list[int]] = {}
        # (path, name of the effect) -> results of the task's effects of that name, in order
        self.effects: dict[tuple[str, str], list[bytes]] = {}
        self.effects_taken: dict[tuple[str, str], int] = {}
        resumed: dict[int, str] = {}
        for step in recording.iter_steps():
            self.positions.setdefault((step.path, resumed.get(step.task, "start")), []).append(step.index)
            resumed[step.task] = step.outcome
            for event in step.events:
                if event.payload is not None:
                    self.effects.setdefault((step.path, str(event.label)), []).append(event.payload)
        unfinished = recording.unfinished_step()
        if unfinished is not None:  # what went wrong went wrong in this one
            task, path = unfinished
            self.positions.setdefault((path, resumed.get(task, "start")), []).append(recording.steps)
        self.taken: dict[tuple[str, str], int] = {}
        self.resumed_from: dict[int, str] = {}  # task number in this run -> how its last step ended
        self.run: RunView | None = None

    def new_run(self, run: RunView) -> None:
        """Start the fallback, too."""
        self.run = run
        self.fallback.new_run(run)

    def recorded_effect(self, name: str) -> bytes | None:
        """The result of the task's next effect of this name, None if the recording has no such effect."""
        assert self.run is not None
        key = (self.run.path_of(self.run.current), name)
        taken = self.effects_taken.get(key, 0)
        self.effects_taken[key] = taken + 1
        results = self.effects.get(key, ())
        return results[taken] if taken < len(results) else None

    def _position(self, task: int) -> int | None:
        assert self.run is not None
        key = (self.run.path_of(task), self.resumed_from.get(task, "start"))
        positions, taken = self.positions.get(key, ()), self.taken.get(key, 0)
        return positions[taken] if taken < len(positions) else None

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The runnable task whose next step comes first in the recording."""
        fallback = self.fallback.next_task(runnable, current)
        best, best_position = fallback, None
        for index, task in enumerate(runnable):
            position = self._position(task)
            if position is not None and (best_position is None or position < best_position):
                best, best_position = index, position
        return best

    def step_closed(self, run: ActiveRun, task: int, outcome_byte: int, record: bytes) -> None:
        """Count the step as taken."""
        resumed = self.resumed_from.get(task, "start")
        report = self.report
        report.steps += 1
        if self._position(task) is None:
            report.unmatched += 1
            if len(report.places) < UNMATCHED_PLACES_MAX:
                report.places.append((run.step_index - 1, run.path_of(task), resumed))
        key = (run.path_of(task), resumed)
        self.taken[key] = self.taken.get(key, 0) + 1
        if outcome_byte & KIND_MASK in (DONE, FAILED):
            self.resumed_from.pop(task, None)
        else:
            self.resumed_from[task] = outcome_name(outcome_byte, list(run.journal.kind_numbers))
