"""The output of a command: a page of facts and tables on a terminal or as plain text, or one JSON document.

A command makes a document, a dict of plain values whose shape `docs/command-line.md` promises, and a function that
renders a page. Only one of the two is used, so neither can leak into the other. Plain text is what pipes and files
get: aligned, without colour, never wrapped and never cut, since its readers there have tools of their own. No text
reaches any of them with a control character in it (`detrun_scheduler.visible`).
"""

from __future__ import annotations

import json
import math
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import click

from detrun_scheduler.visible import visible, visible_json, visible_line

INDENT = "  "
COLUMNS_APART = 3
TEXT_COLUMN_LEAST = 16  # to which a column of text may be narrowed, where it is wider
VERBATIM = ("again", "lines")  # facts that are commands, to be copied: never broken by us


class Page(Protocol):
    """Where a command renders to."""

    def heading(self, text: str, good: bool | None = None) -> None:
        """The line that says what happened; ``good`` colours it."""

    def facts(self, facts: Mapping[str, str]) -> None:
        """Labels and values, one a line."""

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
        """Rows under a header; columns of which every cell is a number are aligned to the right."""

    def text(self, text: str) -> None:
        """Lines as they are."""

    def note(self, text: str) -> None:
        """Something that the reader should know before using the rest."""


class PlainPage:
    """Aligned text for files, pipes and tests."""

    def heading(self, text: str, good: bool | None = None) -> None:
        """See `Page`."""
        click.echo(visible_line(text))

    def facts(self, facts: Mapping[str, str]) -> None:
        """See `Page`."""
        width = max(map(len, facts), default=0)
        for label, value in facts.items():
            click.echo(f"{INDENT}{label:<{width}}  {_hung(visible(value), len(INDENT) + width + 2)}")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
        """See `Page`."""
        columns, rows = _visible_cells(columns), [_visible_cells(row) for row in rows]
        click.echo()
        if title:
            click.echo(visible_line(title))
        right = _numeric_columns(columns, rows)
        widths = [max(len(row[at]) for row in [columns, *rows]) for at in range(len(columns))]
        for row in [columns, *rows]:
            cells = [
                cell.rjust(width) if is_right else cell.ljust(width)
                for cell, width, is_right in zip(row, widths, right, strict=True)
            ]
            click.echo((INDENT + "  ".join(cells)).rstrip())

    def text(self, text: str) -> None:
        """See `Page`."""
        click.echo(visible(text))

    def note(self, text: str) -> None:
        """See `Page`."""
        click.echo(f"{INDENT}note: {visible(text)}")


class TerminalPage:
    """The same with colour and the terminal's width, by rich."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(highlight=False)

    def heading(self, text: str, good: bool | None = None) -> None:
        """See `Page`."""
        style = {True: "bold green", False: "bold red", None: "bold"}[good]
        self.console.print(visible_line(text), style=style, markup=False, soft_wrap=True)

    def facts(self, facts: Mapping[str, str]) -> None:
        """See `Page`."""
        from rich.text import Text

        width = max(map(len, facts), default=0)
        for label, value in facts.items():
            indent = len(INDENT) + width + 2
            value = visible(value)
            if label not in VERBATIM:
                value = "\n".join(_broken(line, self.console.width - indent) for line in value.split("\n"))
            # Soft wrap: what is still too long, a command or a digest, the terminal breaks, and it can be copied whole.
            line = Text.assemble((f"{INDENT}{label:<{width}}  ", "dim"), _hung(value, indent))
            self.console.print(line, soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
        """See `Page`."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        columns, rows = _visible_cells(columns), [_visible_cells(row) for row in rows]
        if self._is_too_wide(columns, rows):
            self._records(columns, rows, title)
            return
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), header_style="dim", show_edge=False)
        for name, right in zip(columns, _numeric_columns(columns, rows), strict=True):
            # Numbers are never broken: text gives way first.
            table.add_column(Text(name), justify="right" if right else "left", no_wrap=right, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self.console.print()
        if title:
            self.console.print(visible_line(title), style="bold", markup=False)
        from rich.padding import Padding

        self.console.print(Padding(table, (0, 0, 0, len(INDENT)), expand=False))

    def _is_too_wide(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
        """Whether a column of text would have to be so narrow that words are broken to pieces."""
        needed = len(INDENT) + COLUMNS_APART * (len(columns) - 1)
        for at, is_number in enumerate(_numeric_columns(columns, rows)):
            width = max(len(row[at]) for row in [columns, *rows])
            needed += width if is_number else min(width, TEXT_COLUMN_LEAST)
        return needed > self.console.width

    def _records(self, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
        """A table for a narrow terminal: the cells of a row below each other, those that are empty left out."""
        self.console.print()
        if title:
            self.console.print(visible_line(title), style="bold", markup=False, soft_wrap=True)
        for at, row in enumerate(rows):
            if at:
                self.console.print()
            self.facts({name: cell for name, cell in zip(columns, row, strict=True) if cell not in ("", "-")})

    def text(self, text: str) -> None:
        """See `Page`."""
        self.console.print(visible(text), markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """See `Page`."""
        from rich.text import Text

        indent = len(INDENT) + len("note: ")
        hung = _hung(_broken(visible(text), self.console.width - indent), indent)
        self.console.print(Text.assemble(f"{INDENT}", ("note: ", "yellow"), hung), soft_wrap=True)


def counted(count: int, noun: str) -> str:
    """``1 task``, ``1,200 tasks``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def open_page() -> Page:
    """A page for the standard output that there is."""
    return TerminalPage() if sys.stdout.isatty() else PlainPage()


def _broken(line: str, width: int) -> str:
    """``line`` broken at spaces where it is too long; words stay whole."""
    return textwrap.fill(line, max(width, 20), break_long_words=False, break_on_hyphens=False) if line else ""


def _hung(value: str, indent: int) -> str:
    return value.replace("\n", "\n" + " " * indent)


def _visible_cells(cells: Sequence[str]) -> list[str]:
    return list(map(visible_line, cells))


def _numeric_columns(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[bool]:
    return [bool(rows) and all(_is_number(row[at]) for row in rows) for at in range(len(columns))]


def _is_number(cell: str) -> bool:
    """Whether a cell is a number as our tables write it: ``1,200``, ``-3e-05``, ``±0.1``, ``> 7``, or none (``-``)."""
    if cell in ("", "-", "any"):
        return True
    try:
        float(cell.lstrip("±> ").replace(",", ""))
    except ValueError:
        return False
    return True


def print_document(document: Mapping[str, Any]) -> None:
    """One JSON document on standard output."""
    click.echo(visible_json(json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False)))


def plain(value: Any) -> Any:
    """``value`` as JSON can say it: numbers that JSON lacks become null, other objects their ``repr``."""
    if value is None or isinstance(value, bool | str):
        return value
    if hasattr(type(value), "primal"):
        value = value.primal
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else repr(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return repr(value)
