"""The results as a table, on a terminal or in Markdown, and as a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.bugs.campaigns import SEARCHES, STRATEGIES, Cell, applies
from benchmarks.bugs.catalogue import BUGS, bug


@dataclass(frozen=True, slots=True)
class Results:
    """The measurements of one call of the benchmark.

    Attributes:
        about: machine, seeds, and limits, as plain data.
    """

    about: dict[str, Any]
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)

    def save(self, file: Path) -> None:
        """Write everything as JSON."""
        order = [(one.name, strategy) for one in BUGS for strategy in STRATEGIES]
        known = sorted(self.cells, key=lambda key: order.index(key) if key in order else len(order))
        cells = [self.cells[key].as_json() for key in known]
        lines = ",\n".join(json.dumps(cell) for cell in cells)
        file.write_text(f'{{"about": {json.dumps(self.about)},\n"cells": [\n{lines}\n]}}\n')

    @staticmethod
    def load(file: Path) -> Results:
        """Read what `save` wrote."""
        data = json.loads(file.read_text())
        cells = [Cell.of_json(one) for one in data["cells"]]
        return Results(data["about"], {(cell.bug, cell.strategy): cell for cell in cells})


def text_of(cell: Cell | None) -> str:
    """The text of one field of the table."""
    if cell is None:
        return ""
    if not cell.found:
        return f"not in {cell.schedules:,}, cut"
    if cell.mean is None:
        many = "" if cell.strategy in SEARCHES else f" ({len(cell.found)} times)"
        return f"not in {cell.cap:,}{many}"
    text = f"{cell.mean:,.0f}"
    if cell.missed:
        text += f", not in {cell.missed} of {len(cell.found)}"
    return f"{text} ({len(cell.found)} seed{'s' if len(cell.found) > 1 else ''})" if cell.is_cut else text


def rows(results: Results, bugs: Sequence[str], strategies: Sequence[str]) -> list[list[str]]:
    """A row for each bug: its name, the strategies, and the schedules a CPU-second of the last sampling strategy."""
    made = []
    rated = next((one for one in reversed(strategies) if one not in SEARCHES), strategies[-1])
    for name in bugs:
        fields = [
            text_of(results.cells.get((name, strategy))) if applies(bug(name), strategy) else "–"
            for strategy in strategies
        ]
        rating = results.cells.get((name, rated))
        made.append([name, *fields, "" if rating is None else f"{rating.rate:,.0f}"])
    return made


def table(results: Results, bugs: Sequence[str], strategies: Sequence[str]) -> Table:
    """For a terminal."""
    made = Table(
        title="Mean schedules until the bug shows",
        caption=caption(results.about),
        title_justify="left",
        caption_justify="left",
    )
    made.add_column("bug", no_wrap=True)
    for strategy in strategies:
        made.add_column(strategy, justify="right", overflow="fold")
    made.add_column("schedules/s", justify="right")
    for row in rows(results, bugs, strategies):
        made.add_row(*row)
    return made


def markdown(results: Results, bugs: Sequence[str], strategies: Sequence[str]) -> str:
    """For a page of the documentation."""
    head = ["bug", *strategies, "schedules/s"]
    lines = [head, ["---", *(["---:"] * (len(head) - 1))], *rows(results, bugs, strategies)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{caption(results.about)}\n"


def caption(about: dict[str, Any]) -> str:
    """The line below the table: machine, seeds and limits."""
    return (
        f"{about['machine']}. {about['seeds']} seeds, searches once; at most {about['cap']:,} schedules a campaign;\n"
        f"a cell is cut after {about['seconds']:g} CPU-seconds ({about['portfolio_seconds']:g} for the portfolio)."
    )
