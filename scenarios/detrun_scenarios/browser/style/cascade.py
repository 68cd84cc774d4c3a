"""The cascade: from rules to computed styles, and which of them are out of date.

A computed style has every property; lengths are in CSS pixels, or a `Percent` of what only layout knows. Numbers that
come from parameters are Values, and all that is computed of them.

Source: CSS Cascading and Inheritance Level 4; CSS Custom Properties for Cascading Variables Level 1 (variables stand on
the root here).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from detrun.ad.value import Value, primal_of
from detrun_scenarios.browser.dom.document import Document
from detrun_scenarios.browser.dom.nodes import Element
from detrun_scenarios.browser.style.declared import (
    INHERITED,
    INITIAL,
    Declared,
    Length,
    Variable,
    declarations_of,
)
from detrun_scenarios.browser.style.sheets import Sheets

BROWSER = """
html, body, div, main, header, footer, section, article, nav, aside, h1, h2, p, ul, li, figure { display: block }
img { display: block } head, script, style, link, title, meta { display: none }
h1 { font-size: 2em; margin: 0.67em 0 } h2 { font-size: 1.5em; margin: 0.83em 0 } p { margin: 1em 0 }
"""
Style: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Percent:
    """A share, in hundredths, of a length that layout knows."""

    number: float


class Cascade:
    """Computed styles of one document.

    Args:
        variables: what ``var(--name)`` stands for, in pixels or a pure number.

    Attributes:
        styles: of the elements that have been seen.
    """

    def __init__(self, sheets: Sheets, variables: Mapping[str, Any]) -> None:
        self.sheets = sheets
        self.variables = variables
        self.styles: dict[Element, Style] = {}
        self._version = 0

    def update(self, document: Document) -> int:
        """Compute what is out of date, mark boxes whose style has changed, and say how many styles were computed."""
        if self._version != self.sheets.version:
            self._version = self.sheets.version
            document.unstyled[document.root] = None
        roots = [one for one in document.unstyled if one.is_connected]
        if self.sheets.looks_at_siblings:
            above = [one.parent or one for one in roots]
            roots = list(dict.fromkeys([*above, *(one for one in document.bereft if one.is_connected)]))
        document.unstyled.clear()
        document.bereft.clear()
        done: dict[Element, None] = {}
        for root in roots:
            for element in root.elements():
                if element in done:
                    continue
                done[element] = None
                style = self.computed(element)
                if not _are_equal(self.styles.get(element), style):
                    document.dirt.mark(element)
                self.styles[element] = style
        return len(done)

    def computed(self, element: Element) -> Style:
        """The style of an element whose parent has one."""
        above = None if element.parent is None else self.styles[element.parent]
        found: dict[str, Declared] = {}
        important: dict[str, Declared] = {}
        for rule in self.sheets.rules_for(element):
            for name, value, is_important in rule.declarations:
                (important if is_important else found)[name] = value
        if element.inline_style:
            for name, value, is_important in declarations_of(element.inline_style):
                (important if is_important else found)[name] = value
        found.update(important)
        style = dict(INITIAL)
        if above is not None:
            style.update({name: above[name] for name in INHERITED})
        size = found.pop("font-size", None)
        if size is not None:
            style["font-size"] = self._number(size, style["font-size"], share_of=style["font-size"])
        for name, value in found.items():
            style[name] = self._number(value, style["font-size"])
        return style

    def _number(self, value: Declared, font_size: Any, share_of: Any = None) -> Any:
        if isinstance(value, Variable):
            return self.variables.get(value.name, 0.0)
        if not isinstance(value, Length):
            return value
        if value.unit == "em":
            return value.number * font_size
        if value.unit == "rem":
            return value.number * INITIAL["font-size"]
        if value.unit == "%":
            return Percent(value.number) if share_of is None else value.number / 100.0 * share_of
        return value.number


def _are_equal(before: Style | None, now: Style) -> bool:
    """Whether two styles have the same numbers; what depends on that is exact on both sides."""
    return before is not None and all(
        one is before[name] or _bare(one) == _bare(before[name]) for name, one in now.items()
    )


def _bare(value: Any) -> Any:
    return primal_of(value) if isinstance(value, Value) else value
