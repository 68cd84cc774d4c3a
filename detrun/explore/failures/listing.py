"""Listing of an interleaving: a column for each task, time downward, in each row the lines that a turn of a task ran.

A row is a stretch of steps of one task. Long schedules show their beginning, the surroundings of the critical step, and
their end. Where the columns do not fit side by side with every line whole, the task's name stands before its lines
instead: no line of code is cut or broken. ``plain`` is for logs and pipes; ``rich_table`` is the same for a terminal.
"""

from __future__ import annotations

import linecache
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from detrun.explore.failures.narrated_steps import Line, NarratedStep
from detrun.explore.failures.narration import Narration
from detrun_scheduler.visible import visible_line

if TYPE_CHECKING:
    from rich.table import Table

ROWS_MAX = 60
AROUND = 20  # rows kept on either side of the critical one
LINES_OF_ROW = 24
COLUMNS_MAX = 4
COLUMN_WIDTH_LEAST = 24
TASK_STYLES = ("cyan", "green", "magenta", "blue", "bright_cyan", "bright_green", "bright_magenta", "bright_blue")
LABEL_WIDTH = 8  # of the step's number, before the first column
_ENDED = {"failed": "fails", "cancelled": "is cancelled", "killed": "is killed"}
_WAITS = {name: f"trio.{name}" for name in ("sleep", "sleep_until", "sleep_forever")}


def code_of(line: Line) -> str:
    """A line's text, without its indentation."""
    return linecache.getline(line.file, line.number).strip()


def shown_place(line: Line) -> str:
    """``file:line``, relative to the working directory where it lies below it."""
    here = os.getcwd() + os.sep
    file = line.file.removeprefix(here)
    return f"{file}:{line.number}"


@dataclass(slots=True)
class Row:
    """A stretch of steps of one task, or a gap."""

    first: int  # step; -1 for a gap
    task: str
    lines: list[str]
    is_critical: bool = False


class Listing:
    """The rows of a narration, or any rows.

    Args:
        critical: a step to be pointed out, for instance the first that differs from a passing schedule.
    """

    def __init__(self, narration: Narration | Iterable[Row], critical: int | None = None) -> None:
        rows = rows_of(narration.steps, critical) if isinstance(narration, Narration) else narration
        self.rows = _shortened(list(rows))
        for row in self.rows:  # labels of a recording may be somebody else's
            row.task, row.lines = visible_line(row.task), list(map(visible_line, row.lines))
        self.tasks: list[str] = []
        for row in self.rows:
            if row.task and row.task not in self.tasks:
                self.tasks.append(row.task)

    def document(self) -> list[dict[str, object]]:
        """The rows as plain data; a gap has no step."""
        return [
            {"step": row.first if row.first >= 0 else None, "task": row.task or None, "lines": row.lines}
            for row in self.rows
        ]

    def column_widths(self, width: int) -> list[int] | None:
        """How wide the columns are, two spaces apart, with every line whole; None if that is more than ``width``."""
        if len(self.tasks) > COLUMNS_MAX:
            return None
        widths = {task: max(len(task), COLUMN_WIDTH_LEAST) for task in self.tasks}
        for row in self.rows:
            if row.task:
                widths[row.task] = max(widths[row.task], *map(len, row.lines))
        total = LABEL_WIDTH + sum(widths.values()) + 2 * (len(widths) - 1)
        return list(widths.values()) if total <= width else None

    def plain(self, width: int = 120) -> str:
        """Text, with columns if they are at most ``width`` wide."""
        widths = self.column_widths(width)
        if widths is None:
            return "\n".join(_flat(self.rows))
        names = "  ".join(task.ljust(each) for task, each in zip(self.tasks, widths, strict=True))
        lines = [(" " * LABEL_WIDTH + names).rstrip()]
        for row in self.rows:
            if row.first < 0:
                lines.append(f"     ⋮  {row.lines[0]}")
                continue
            at = sum(each + 2 for each in widths[: self.tasks.index(row.task)])
            for number, text in enumerate(row.lines):
                label = f"{row.first:>6}{'*' if row.is_critical else ' '} " if number == 0 else " " * LABEL_WIDTH
                lines.append((label + " " * at + text).rstrip())
        return "\n".join(lines)

    def rich_table(self, width: int = 120) -> Table:
        """The same as a table of rich, for a terminal of this width."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        beside = self.column_widths(width - 2 * len(self.tasks)) is not None  # room for padding
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
        table.add_column("step", justify="right", no_wrap=True, style="dim")
        styles = {task: TASK_STYLES[at % len(TASK_STYLES)] for at, task in enumerate(self.tasks)}
        for task in self.tasks if beside else ["task", "lines"]:
            table.add_column(Text(task, style=styles.get(task, "")), overflow="fold")
        for row in self.rows:
            style = "bold yellow" if row.is_critical else styles.get(row.task, "")
            if row.first < 0:
                text = Text(row.lines[0], style="dim")
                table.add_row("⋮", *([text] if beside else [Text(), text]))
                continue
            text = Text("\n".join(row.lines), style=style)
            cells = (
                [text if task == row.task else Text() for task in self.tasks]
                if beside
                else [Text(row.task, style=style), text]
            )
            table.add_row(str(row.first), *cells)
        return table

    def __str__(self) -> str:
        return self.plain()


def rows_of(steps: Iterable[NarratedStep], critical: int | None = None) -> Iterator[Row]:
    """The stretches of steps of one task, those of trio's own task left out."""
    row: Row | None = None
    for step in steps:
        if step.task == "<init>":
            continue
        # Under preemption by opcodes a line takes many steps.
        lines = [f"{line.number}  {code_of(line)}" for line in step.lines]
        lines = [*(text for at, text in enumerate(lines) if at == 0 or text != lines[at - 1]), *step.did]
        if step.faults:
            lines.append(f"⚡ {', '.join(step.faults)}")
        if step.ended not in ("", "done"):
            lines.append(f"→ {_ENDED.get(step.ended) or 'waits in ' + _WAITS.get(step.ended, step.ended)}")
        is_critical = step.index == critical
        if step.before:
            if row is not None:
                yield _trimmed(row)
                row = None
            yield Row(-1, "", ["; ".join(map(str, step.before))])
        if row is not None and (row.task != step.task or is_critical):
            yield _trimmed(row)
            row = None
        if row is None:
            row = Row(step.index, step.task, [], is_critical)
        row.lines += lines[1:] if row.lines and lines and row.lines[-1] == lines[0] else lines
    if row is not None:
        yield _trimmed(row)


def _trimmed(row: Row) -> Row:
    if len(row.lines) > LINES_OF_ROW:
        half = LINES_OF_ROW // 2
        row.lines = [*row.lines[:half], f"⋮  {len(row.lines) - 2 * half + 1} more", *row.lines[1 - half :]]
    elif not row.lines:
        row.lines = ["·"]
    return row


def _shortened(rows: list[Row]) -> list[Row]:
    if len(rows) <= ROWS_MAX:
        return rows
    critical = next((index for index, row in enumerate(rows) if row.is_critical), 0)
    kept = {*range(5), *range(critical - AROUND, critical + AROUND), *range(len(rows) - 15, len(rows))}
    shortened: list[Row] = []
    skipped = 0
    for index, row in enumerate(rows):
        if index in kept:
            if skipped:
                shortened.append(Row(-1, "", [f"{skipped} turns left out"]))
                skipped = 0
            shortened.append(row)
        else:
            skipped += 1
    return shortened


def _flat(rows: Sequence[Row]) -> Iterator[str]:
    width = max((len(row.task) for row in rows), default=0)
    for row in rows:
        if row.first < 0:
            yield f"     ⋮  {row.lines[0]}"
            continue
        for number, text in enumerate(row.lines):
            label = f"{row.first:>6}{'*' if row.is_critical else ' '} " if number == 0 else " " * 8
            yield f"{label}{row.task if number == 0 else '':<{width}}  {text}".rstrip()
