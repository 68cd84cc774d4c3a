"""A recorded interleaving in a few lines: each turn's task, its steps, and its operations on shared objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from detrun_recorder.recording import Recording
from detrun_recorder.steps import Step

TRIO_TASK = "<init>"
LINES_MAX = 40
OPERATIONS_SHOWN = 4  # of one stretch


@dataclass(slots=True)
class _Stretch:
    """Steps of one task without another between."""

    path: str
    is_preempted: bool = False  # it could have gone on, but another task was chosen
    steps: int = 0
    ended: str = ""
    operations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        did = self.operations[:OPERATIONS_SHOWN]
        if len(self.operations) > OPERATIONS_SHOWN:
            did.append(f"and {len(self.operations) - OPERATIONS_SHOWN} more")
        steps = f"{self.steps} step{'' if self.steps == 1 else 's'}"
        end = "preempted" if self.is_preempted else self.ended
        return f"{self.path}: {steps}, then {end}" + (f" ({', '.join(did)})" if did else "")


def interleaving(recording: Recording) -> str:
    """The run in the order in which it happened; the middle of a long one is left out."""
    lines = [f"  {stretch}" for stretch in _stretches(recording)]
    if len(lines) > LINES_MAX:
        half = LINES_MAX // 2
        lines[half:-half] = [f"  ... {len(lines) - LINES_MAX} more ..."]
    return "\n".join([f"interleaving, {recording.steps:,} steps:", *lines])


def _stretches(recording: Recording) -> Iterator[_Stretch]:
    stretch: _Stretch | None = None
    last: Step | None = None
    for step in recording.iter_steps():
        if step.path == TRIO_TASK:
            continue  # it starts the main task and waits for it
        if stretch is None or last is None or step.task != last.task:
            if stretch is not None and last is not None:
                stretch.is_preempted = last.task in step.runnable
                yield stretch
            stretch = _Stretch(step.path)
        stretch.steps += 1
        stretch.ended = step.outcome
        stretch.operations += [f"{event.label}.{event.operation}" for event in step.events if event.operation]
        last = step
    if stretch is not None:
        yield stretch
