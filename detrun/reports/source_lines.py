"""Which lines of the program each step ran: no recording has them, a narration does, of up to `STEPS_MAX` steps."""

from __future__ import annotations

from collections.abc import Iterable

from detrun.explore.failures.listing import code_of, shown_place
from detrun.explore.failures.narrated_steps import NarratedStep
from detrun.explore.failures.narration import Narration
from detrun.pages.source import SourceLines
from detrun_recorder.export import Ran


def source_lines(narration: Narration, steps: range) -> SourceLines:
    """Of the wanted steps."""
    found = SourceLines()
    for step in narrated_steps(narration):
        if step.index not in steps:
            continue
        if step.lines:
            found.add(step.index, [(line.file, line.number) for line in step.lines])
        touched = _touched(narration, step)
        if touched:
            found.touched[step.index] = touched
    return found


def narrated_steps(narration: Narration) -> Iterable[NarratedStep]:
    """The steps, and the one in which the run failed, which no recording has."""
    yield from narration.steps
    if narration.open_step is not None:
        yield narration.open_step


def ran_of(narration: Narration) -> dict[int, Ran]:
    """What each step ran and touched, for a trace."""
    return {
        step.index: Ran(list(map(code_of, step.lines)), list(map(shown_place, step.lines)), _touched(narration, step))
        for step in narrated_steps(narration)
    }


def groups_of(narration: Narration) -> dict[str, str]:
    """The node of each task, by its path."""
    return narration.nodes


def _touched(narration: Narration, step: NarratedStep) -> list[str]:
    said = []
    for mark in step.marks:
        name = narration.name_of(mark.key)
        if name:
            where = "" if mark.line is None else f" (line {mark.line.number})"
            said.append(f"{mark.verb.removesuffix(' it')} {name}{where}")
    return list(dict.fromkeys(said))
