"""The line that stands for an operation of which a history says where it was noted.

What notes comes after what it notes: ``row = store.get(key)``, then ``transaction.read(key, row.version)``. So the
operation is what the noting function had called last in this call of it, from there on until it is noted. Of the
functions that this runs one is named that few other such operations run, if there is one, for this one did something
there which others did not; else the one that was called; else the line that notes.
"""

from __future__ import annotations

from collections.abc import Sequence

from detrun.checkers.transactions import Place
from detrun.explore.failures.functions import first_line_at
from detrun.explore.failures.narrated_steps import Line, function_of
from detrun.explore.failures.narration import Narration

FEW = 2  # of so many operations at most one does it
STEPS_MAX = 60  # of the task, that are looked at


def noted_line(narration: Narration, place: Place) -> Line:
    """See the module."""
    return called_last(narration, place) or Line(place.file, place.line)


def called_last(narration: Narration, place: Place) -> Line | None:
    """The line of the program that stands for what a noting function had called last; None if it had called nothing."""
    did = _done(narration, place, Line(place.file, place.line))
    if not did:
        return None
    ran = narration.function_counts()
    rarest = min(did, key=lambda line: ran[function_of(line)])
    return rarest if ran[function_of(rarest)] * FEW <= narration.line_counts()[did[0]] else did[0]


def _done(narration: Narration, place: Place, noting: Line) -> Sequence[Line]:
    """The lines that its task ran of the operation, in their order; none if the noting function called nothing.

    Before its first line the function had not begun: what lies there is of its callers.
    """
    task = narration.steps[place.step].task
    steps = [step for step in narration.steps[: place.step + 1] if step.task == task][-STEPS_MAX:]
    lines = [line for step in steps for line in step.lines]
    while lines and lines[-1] != noting:
        lines.pop()
    inside = [at for at, line in enumerate(lines) if function_of(line) == function_of(noting)]
    begins = first_line_at(noting.file, noting.number)
    for before, after in zip(inside[-2::-1], inside[:0:-1], strict=True):
        if lines[after].number == begins:
            break
        between = [line for line in lines[before + 1 : after] if line.file != noting.file]
        if between:
            return between
    return []
