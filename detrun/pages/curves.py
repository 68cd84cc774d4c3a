"""Numbers with their errors as an HTML page: curves, a panel for each quantity; answers beside each other; a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from detrun.pages.kinds import Kinds
from detrun.pages.page import page_of
from detrun_scheduler.visible import visible, visible_line

SCRIPTS = ("d3.min.js", "data.js", "kinds.js", "curves.js")


@dataclass(frozen=True, slots=True)
class Point:
    """A place of a curve; ``error`` is a standard error, 0 where there is none."""

    x: float
    y: float
    error: float = 0.0


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a panel.

    Attributes:
        verdict: what was found about its end by other means, drawn as a square.
    """

    name: str
    points: Sequence[Point]
    verdict: Point | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """One quantity.

    Attributes:
        x, y: what the axes show, with units.
        level: a name and a height, drawn as a dashed line.
    """

    title: str
    x: str
    y: str
    curves: Sequence[Curve]
    level: tuple[str, float] | None = None

    def document(self) -> dict[str, Any]:
        """As plain JSON values; what is no finite number is left out."""
        return {
            "title": visible_line(self.title),
            "x": visible_line(self.x),
            "y": visible_line(self.y),
            "curves": [
                [visible_line(one.name), _points(one.points), _points([] if one.verdict is None else [one.verdict])]
                for one in self.curves
            ],
            "level": None if self.level is None else [visible_line(self.level[0]), self.level[1]],
        }


@dataclass(frozen=True, slots=True)
class Curves:
    """What the page shows.

    Attributes:
        outcome: in a sentence.
        facts: by name.
        head, rows: of the table.
        notes: what a reader should know.
        kinds: answers beside each other, shown after the panels.
    """

    title: str
    outcome: str
    facts: Mapping[str, str]
    panels: Sequence[Panel] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = field(default_factory=list)
    kinds: Kinds | None = None


def curves_page(shown: Curves) -> str:
    """The text of the file."""
    document = {
        "outcome": visible(shown.outcome),
        "facts": {visible_line(name): visible(text) for name, text in shown.facts.items()},
        "panels": [panel.document() for panel in shown.panels],
        "head": list(map(visible_line, shown.head)),
        "rows": [list(map(visible_line, row)) for row in shown.rows],
        "notes": list(map(visible, shown.notes)),
        "kinds": None if shown.kinds is None else shown.kinds.document(),
    }
    return page_of(shown.title, document, "curves.html.jinja", SCRIPTS)


def _points(points: Sequence[Point]) -> list[list[float]]:
    return [[one.x, one.y, one.error if isfinite(one.error) else 0.0] for one in points if isfinite(one.y)]
