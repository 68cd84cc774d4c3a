"""`SourceLines`: which lines of the program each step ran, with the files that they stand in.

They are in no recording. A narration has them, of up to `narration.STEPS_MAX` steps.
"""

from __future__ import annotations

import linecache
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from detrun.explore.failures.listing import code_of, shown_place
from detrun.explore.failures.narrated_steps import Line, NarratedStep
from detrun.explore.failures.narration import Narration
from detrun_recorder.export import Ran
from detrun_scheduler.visible import visible, visible_line

LINES_OF_STEP_MAX = 60
FILE_LINES_MAX = 5_000


@dataclass(slots=True)
class SourceLines:
    """Lines by step, and the text of the files.

    Attributes:
        files: their names as they are shown, in the order in which they come up, with their lines.
        steps: by step: pairs of the file's index and the line's number, in the order in which they ran.
        touched: by step: what it did to which object, in words.
    """

    files: dict[str, list[str]] = field(default_factory=dict)
    steps: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    touched: dict[int, list[str]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "files": [[visible_line(name), list(map(visible, lines))] for name, lines in self.files.items()],
            "steps": [list(self.steps), [[part for place in one for part in place] for one in self.steps.values()]],
            "touched": [list(self.touched), [list(map(visible_line, one)) for one in self.touched.values()]],
        }


def source_lines(narration: Narration, steps: range) -> SourceLines:
    """Of the wanted steps."""
    found = SourceLines()
    numbers: dict[str, int] = {}
    for step in narrated_steps(narration):
        if step.index not in steps:
            continue
        if step.lines:
            kept = step.lines[-LINES_OF_STEP_MAX:]
            found.steps[step.index] = [(_file(found, numbers, line), line.number) for line in kept]
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


def _file(found: SourceLines, numbers: dict[str, int], line: Line) -> int:
    """The index of a line's file, which is read on first use."""
    if line.file not in numbers:
        numbers[line.file] = len(found.files)
        name = shown_place(Line(line.file, 0)).removesuffix(":0")
        # Two files of one name as shown cannot be: it is a path.
        found.files[name] = [text.rstrip("\n") for text in linecache.getlines(line.file)[:FILE_LINES_MAX]]
    return numbers[line.file]
