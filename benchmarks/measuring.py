"""Measuring: contenders alternate, so that a busy machine slows all of them alike.

A figure is the median over repetitions, with the spread from the smallest to the largest. Ratios are taken within a
repetition, between neighbours in time, and their median is what the tables show. Seconds are CPU seconds of the
process, because everything measured here computes without waiting.
"""

from __future__ import annotations

import gc
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    what: str
    measured: str
    target: str
    met: bool | None  # None: no target


@dataclass(frozen=True, slots=True)
class Pasted:
    """Where a document shows what is kept: between two marks, each of which stands there once.

    Attributes:
        page: the Markdown file.
        name: of the marks, ``<!-- name -->`` and ``<!-- end of name -->``.
    """

    page: Path
    name: str

    def text(self) -> str:
        """What stands there."""
        return self._parts()[1]

    def paste(self, text: str) -> None:
        """Put something else there."""
        before, _, after = self._parts()
        self.page.write_text(f"{before}{text}{after}")

    def _parts(self) -> tuple[str, str, str]:
        begin, end = f"<!-- {self.name} -->\n", f"<!-- end of {self.name} -->"
        whole = self.page.read_text()
        try:
            before, rest = whole.split(begin)
            text, after = rest.split(end)
        except ValueError as error:
            raise ValueError(
                f"{self.page}: the marks of {self.name} must stand there once, one after the other"
            ) from error
        return before + begin, text, end + after


def captioned(lines: Sequence[str], caption: str) -> str:
    """A table in Markdown, with a sentence below it."""
    return "\n".join([*lines, "", caption, ""])


def measure_or_show(
    kept: Path, pasted: Pasted, measured: Callable[[], dict[str, Any]], markdown: Callable[[dict[str, Any]], str]
) -> None:
    """Measure, keep and paste, or with ``--show`` on the command line nothing of this; print what is kept.

    Args:
        kept: the file of the results.
        pasted: where a document shows them.
        measured: takes the results.
        markdown: what the document shows of them.
    """
    is_shown_only = "--show" in sys.argv
    if not is_shown_only:
        kept.write_text(json.dumps(measured(), indent=1) + "\n")
    text = markdown(json.loads(kept.read_text()))
    if not is_shown_only:
        pasted.paste(text)
    print(text)


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """The time that ``work`` takes, without garbage collection in between."""
    gc.collect()
    gc.disable()
    try:
        start = clock()
        work()
        return clock() - start
    finally:
        gc.enable()


def alternating(
    contenders: Sequence[Callable[[], object]],
    repetitions: int = 5,
    clock: Callable[[], float] = time.process_time,
) -> list[list[float]]:
    """Seconds of each contender in each repetition, after one round to warm up."""
    for contender in contenders:
        contender()
    rounds = [[seconds(contender, clock) for contender in contenders] for _ in range(repetitions)]
    return [[one[index] for one in rounds] for index in range(len(contenders))]


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, str]:
    """The median ratio, and its spread in words."""
    ratios = [one / other for one, other in zip(numerators, denominators, strict=True)]
    return statistics.median(ratios), f"{min(ratios):.2f}–{max(ratios):.2f}"


def machine() -> str:
    """Interpreter and machine, for the caption."""
    with open("/proc/cpuinfo") as file:
        models = {line.partition(":")[2].strip() for line in file if line.startswith("model name")}
    name = ", ".join(sorted(models)) or platform.machine()
    return f"CPython {platform.python_version()}, {name}, {platform.system()}"


def show(title: str, rows: Sequence[Row]) -> None:
    """Print a table."""
    table = Table(title=title, caption=machine(), title_justify="left", caption_justify="left")
    for column in ("what", "measured", "target"):
        table.add_column(column, overflow="fold")
    table.add_column("met")
    for row in rows:
        table.add_row(row.what, row.measured, row.target, {True: "yes", False: "NO", None: "–"}[row.met])
    Console(width=120).print(table)
