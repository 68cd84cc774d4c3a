"""Boxes: where elements are. A box is placed relative to its parent's, so that a subtree moves and is kept as it is.

All boxes are border boxes (``box-sizing: border-box``), in CSS pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from detrun.ad.value import primal_of
from detrun_scenarios.browser.dom.nodes import Element
from detrun_scenarios.browser.style.cascade import Percent, Style
from detrun_scenarios.browser.style.declared import SIDES

_MARGINS = tuple(f"margin-{side}" for side in SIDES)
_PADDINGS = tuple(f"padding-{side}" for side in SIDES)


class Given(NamedTuple):
    """What a parent says to a child.

    Attributes:
        available: width of the containing block.
        width, height: of the border box, if the parent decides them, as flex containers do.
    """

    available: Any
    width: Any = None
    height: Any = None

    def is_as(self, other: Given) -> bool:
        """Whether the numbers are the same."""
        return all(
            one is two or (one is not None and two is not None and primal_of(one) == primal_of(two))
            for one, two in zip(self, other, strict=True)
        )


@dataclass(slots=True, eq=False)
class Fragment:
    """A word on a line, relative to the box of the block that holds the line.

    Attributes:
        element: whose text it is.
    """

    text: str
    element: Element
    x: Any
    y: Any
    width: Any
    height: Any


class Placed(NamedTuple):
    """A box inside of another, with where its corner is relative to the other's."""

    box: Box
    x: Any
    y: Any


@dataclass(slots=True, eq=False)
class Box:
    """The box of an element. Where it stands its parent's box says, so that one box can be in several layouts.

    Attributes:
        children: boxes inside, in the order of the document.
        fragments: words of lines that are directly inside.
        given: what it was laid out for.
    """

    element: Element
    style: Style
    given: Given
    width: Any = 0.0
    height: Any = 0.0
    children: list[Placed] = field(default_factory=list)
    fragments: list[Fragment] = field(default_factory=list)


class Layouts(Protocol):
    """What the ways of layout ask of the whole: styles, and boxes of what is inside."""

    def style_of(self, element: Element) -> Style:
        """The computed style."""

    def lay_out(self, element: Element, given: Given) -> Box:
        """The box of an element, with all inside."""

    def extents(self, element: Element, available: Any) -> tuple[Any, Any]:
        """Min-content and max-content width of the border box."""


class Edges(NamedTuple):
    """Widths at the four sides."""

    top: Any
    right: Any
    bottom: Any
    left: Any

    @property
    def across(self) -> Any:
        """Left and right."""
        return self.left + self.right

    @property
    def upright(self) -> Any:
        """Top and bottom."""
        return self.top + self.bottom


def length(value: Any, whole: Any) -> Any:
    """A length in pixels; None for ``auto`` and ``none``."""
    if isinstance(value, Percent):
        return value.number / 100.0 * whole
    return None if isinstance(value, str) else value


def margins(style: Style, available: Any) -> Edges:
    """Those of a style; ``auto`` counts as 0."""
    return Edges(*[_or_zero(style[name], available) for name in _MARGINS])


def insets(style: Style, available: Any) -> Edges:
    """Padding and border together."""
    border = style["border-width"]
    return Edges(*[_or_zero(style[name], available) + border for name in _PADDINGS])


def _or_zero(value: Any, whole: Any) -> Any:
    if type(value) is float:
        return value
    found = length(value, whole)
    return 0.0 if found is None else found
