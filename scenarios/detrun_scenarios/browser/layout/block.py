"""Block layout: boxes below each other, margins between siblings collapsed, runs of inline content as lines.

Source: CSS 2.2, 9.4.1, 10.3.3 and 8.3.1. Left out: margins of a parent and its first or last child do not collapse.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import detrun
from detrun_scenarios.browser.dom.nodes import Element, Node, Text
from detrun_scenarios.browser.layout.boxes import Box, Edges, Given, Layouts, Placed, insets, length, margins
from detrun_scenarios.browser.layout.inline import lines, widest, words_of
from detrun_scenarios.browser.style.cascade import Style

Part = Element | list[Node]  # a block, or a run of inline nodes


def parts_of(element: Element, layouts: Layouts) -> Iterator[Part]:
    """The children as blocks and runs between them; what is not displayed is left out."""
    run: list[Node] = []
    for child in element.children:
        display = "inline" if isinstance(child, Text) else layouts.style_of(child)["display"]
        if display == "none":
            continue
        if display == "inline":
            run.append(child)
            continue
        if run:
            yield run
            run = []
        assert isinstance(child, Element)
        yield child
    if run:
        yield run


def bounded(number: Any, style: Style, available: Any) -> Any:
    """A width within ``min-width`` and ``max-width``; the lower one wins."""
    least, most = length(style["min-width"], available), length(style["max-width"], available)
    if most is not None:
        number = detrun.minimum(number, most)
    return number if least is None else detrun.maximum(number, least)


def width_in(style: Style, available: Any, edges: Edges) -> Any:
    """The width of a block: its own, or what is left of the containing block."""
    own = length(style["width"], available)
    return bounded(available - edges.across if own is None else own, style, available)


def lay_out_block(box: Box, layouts: Layouts) -> None:
    """Fill a block: children, height. Its width is there."""
    style, available = box.style, box.given.available
    inside = insets(style, available)
    width = box.width - inside.across
    y: Any = inside.top
    margin: Any = None  # of the block before
    for part in parts_of(box.element, layouts):
        if isinstance(part, list):
            y = y if margin is None else y + margin
            margin = None
            found, tall = lines(words_of(part, box.element, layouts.style_of), inside.left, y, width)
            box.fragments += found
            y = y + tall
            continue
        child = layouts.lay_out(part, Given(width))
        edges = margins(child.style, width)
        y = y + (edges.top if margin is None else detrun.maximum(margin, edges.top))
        free = width - child.width - edges.across
        left, right = child.style["margin-left"] == "auto", child.style["margin-right"] == "auto"
        shift = (free / 2.0 if right else free) if left else 0.0
        box.children.append(Placed(child, inside.left + edges.left + shift, y))
        y = y + child.height
        margin = edges.bottom
    y = (y if margin is None else y + margin) + inside.bottom
    box.height = height_of(box, y)


def height_of(box: Box, content: Any) -> Any:
    """The height that the parent gives, or the style, or the content, within its bounds."""
    if box.given.height is not None:
        return box.given.height
    own = length(box.style["height"], None) if not _is_share(box.style["height"]) else None
    height = content if own is None else own
    least, most = box.style["min-height"], box.style["max-height"]
    if not isinstance(most, str) and not _is_share(most):
        height = detrun.minimum(height, most)
    return height if isinstance(least, str) or _is_share(least) else detrun.maximum(height, least)


def _is_share(value: Any) -> bool:
    """Percentages of heights are not known before the content, and count as auto."""
    return hasattr(value, "number")


def extents_of_block(element: Element, layouts: Layouts, available: Any) -> tuple[Any, Any]:
    """Min-content and max-content width of a block's content."""
    found = [_extents(part, element, layouts, available) for part in parts_of(element, layouts)]
    return largest([one for one, _ in found]), largest([one for _, one in found])


def _extents(part: Part, element: Element, layouts: Layouts, available: Any) -> tuple[Any, Any]:
    if isinstance(part, list):
        return widest(words_of(part, element, layouts.style_of))
    narrow, whole = layouts.extents(part, available)
    across = margins(layouts.style_of(part), available).across
    return narrow + across, whole + across


def largest(numbers: Sequence[Any]) -> Any:
    """The largest, 0 of none."""
    found: Any = 0.0
    for number, one in enumerate(numbers):
        found = detrun.maximum(found, one) if number else one
    return found
