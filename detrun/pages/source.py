"""`SourceLines`: which lines of the program each step ran, with the files that they stand in."""

from __future__ import annotations

import linecache
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from detrun_scheduler.visible import visible, visible_line

LINES_OF_STEP_MAX = 60
FILE_LINES_MAX = 5_000


def shown_file(file: str) -> str:
    """Its path, relative to the working directory where it lies below it."""
    return file.removeprefix(os.getcwd() + os.sep)


@dataclass(slots=True)
class SourceLines:
    """Lines by step, and the text of the files.

    Attributes:
        files: their names as they are shown, in the order in which they come up, with their lines.
        steps: by step: pairs of the file's index and the line's number, in the order in which they ran.
        touched: by step: what it did to which object, in words.
        left_out: by step: how many of its lines, the first ones, are not in ``steps``.
    """

    files: dict[str, list[str]] = field(default_factory=dict)
    steps: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    touched: dict[int, list[str]] = field(default_factory=dict)
    left_out: dict[int, int] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "files": [[visible_line(name), list(map(visible, lines))] for name, lines in self.files.items()],
            "steps": [list(self.steps), [[part for place in one for part in place] for one in self.steps.values()]],
            "leftOut": [list(self.left_out), list(self.left_out.values())],
            "touched": [list(self.touched), [list(map(visible_line, one)) for one in self.touched.values()]],
        }

    def add(self, step: int, lines: Sequence[tuple[str, int]]) -> None:
        """A step ran these lines: file and number; of very many the last ones are kept."""
        self.steps[step] = [(self._file(file), number) for file, number in lines[-LINES_OF_STEP_MAX:]]
        if len(lines) > LINES_OF_STEP_MAX:
            self.left_out[step] = len(lines) - LINES_OF_STEP_MAX

    def _file(self, file: str) -> int:
        """The index of a file, which is read on first use."""
        if file not in self._numbers:
            self._numbers[file] = len(self.files)
            # Two files of one name as shown cannot be: it is a path.
            texts = linecache.getlines(file)[:FILE_LINES_MAX]
            self.files[shown_file(file)] = [text.rstrip("\n") for text in texts]
        return self._numbers[file]
