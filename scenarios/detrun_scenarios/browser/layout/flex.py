"""Flex layout: items in a row, that may wrap, or in a column; lengths are resolved by `flexible`.

Source: CSS Flexible Box Layout Module Level 1, 9.2 to 9.6. Left out: ``order``, reversed directions, baselines,
``align-content`` (lines are packed at the start) and columns that wrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import detrun
from detrun_scenarios.browser.dom.nodes import Element
from detrun_scenarios.browser.layout.block import height_of, largest
from detrun_scenarios.browser.layout.boxes import Box, Given, Layouts, Placed, insets, length, margins
from detrun_scenarios.browser.layout.flexible import Item, resolve, total
from detrun_scenarios.browser.style.cascade import Percent, Style


def items_of(element: Element, layouts: Layouts) -> list[Element]:
    """The children that are displayed; text directly inside of a flex container is not."""
    return [
        child
        for child in element.children
        if isinstance(child, Element) and layouts.style_of(child)["display"] != "none"
    ]


def lay_out_flex(box: Box, layouts: Layouts) -> None:
    """Fill a flex container: items, height. Its width is there."""
    inside = insets(box.style, box.given.available)
    width = box.width - inside.across
    items = items_of(box.element, layouts)
    if box.style["flex-direction"] == "column":
        tall = _column(box, items, layouts, inside.left, inside.top, width)
    else:
        tall = _row(box, items, layouts, inside.left, inside.top, width)
    box.height = height_of(box, inside.top + tall + inside.bottom)


def _row(box: Box, elements: Sequence[Element], layouts: Layouts, left: Any, top: Any, width: Any) -> Any:
    """Lay out lines of items below each other; their height."""
    gap = length(box.style["gap"], width)
    flexing = [(one, _row_item(one, layouts, width)) for one in elements]
    y: Any = 0.0
    for number, line in enumerate(_lines(flexing, width, gap, box.style["flex-wrap"] == "wrap")):
        y = y + gap if number else y
        y = y + _line(box, line, layouts, (left, top + y), width, gap)
    return y


def _row_item(element: Element, layouts: Layouts, width: Any) -> Item:
    """9.2 and 4.5: base size and bounds of an item, from its style and its content."""
    style = layouts.style_of(element)
    basis = length(style["flex-basis"], width)
    if basis is None:
        basis = length(style["width"], width)
    narrow, whole = layouts.extents(element, width)
    across = insets(style, width).across
    base = whole if basis is None else detrun.maximum(basis, across)
    least = length(style["min-width"], width)
    if least is None:  # the automatic minimum
        own = length(style["width"], width)
        least = narrow if own is None else detrun.minimum(narrow, own)
    edges = margins(style, width)
    most = length(style["max-width"], width)
    return Item(base, style["flex-grow"], style["flex-shrink"], least, most, edges.across)


def _lines(
    items: Sequence[tuple[Element, Item]], width: Any, gap: Any, wraps: bool
) -> list[list[tuple[Element, Item]]]:
    """9.3: a new line where the next item does not fit."""
    if not wraps:
        return [list(items)] if items else []
    found: list[list[tuple[Element, Item]]] = []
    used: Any = 0.0
    for element, item in items:
        outer = item.hypothetical + item.outside
        if found and not used + gap + outer > width:
            used = used + gap + outer
            found[-1].append((element, item))
        else:
            used = outer
            found.append([(element, item)])
    return found


def _line(
    box: Box, line: Sequence[tuple[Element, Item]], layouts: Layouts, at: tuple[Any, Any], width: Any, gap: Any
) -> Any:
    """9.4 to 9.6: one line of a row at a point; its height."""
    resolve([item for _, item in line], width, gap)
    children = [layouts.lay_out(element, Given(width, item.length)) for element, item in line]
    edges = [margins(one.style, width) for one in children]
    tall = largest([child.height + edge.upright for child, edge in zip(children, edges, strict=True)])
    if box.style["flex-wrap"] != "wrap":
        inside = insets(box.style, box.given.available).upright
        if box.given.height is not None:
            tall = box.given.height - inside
        elif not isinstance(box.style["height"], str | Percent):
            tall = box.style["height"] - inside
    free = width - gap * (len(line) - 1) - total(item.length + item.outside for _, item in line)
    x, between = _justified(box.style, free, len(line))
    for (element, item), child, edge in zip(line, children, edges, strict=True):
        if box.style["align-items"] == "stretch" and isinstance(child.style["height"], str):
            wanted = tall - edge.upright
            child = layouts.lay_out(element, Given(width, item.length, detrun.maximum(wanted, 0.0)))
        down = edge.top + _aligned(box.style, tall - child.height - edge.upright)
        box.children.append(Placed(child, at[0] + x + edge.left, at[1] + down))
        x = x + item.length + item.outside + gap + between
    return tall


def _column(box: Box, elements: Sequence[Element], layouts: Layouts, left: Any, top: Any, width: Any) -> Any:
    """Lay out items below each other, flexing where the container's height is given; their height."""
    gap = length(box.style["gap"], width)
    widths = [_width_in_column(one, box.style, layouts, width) for one in elements]
    children = [layouts.lay_out(one, Given(width, wide)) for one, wide in zip(elements, widths, strict=True)]
    edges = [margins(one.style, width) for one in children]
    used = total(child.height + edge.upright for child, edge in zip(children, edges, strict=True))
    used = used + gap * max(len(children) - 1, 0)
    height = used
    given = box.given.height
    if given is None and not isinstance(box.style["height"], str | Percent):
        given = box.style["height"]
    if given is not None and children:
        height = given - insets(box.style, box.given.available).upright
        items = [_column_item(child, edge.upright) for child, edge in zip(children, edges, strict=True)]
        resolve(items, height, gap)
        children = [
            layouts.lay_out(one, Given(width, wide, item.length))
            for one, wide, item in zip(elements, widths, items, strict=True)
        ]
        used = total(item.length + item.outside for item in items) + gap * (len(items) - 1)
    y, between = _justified(box.style, height - used, len(children))
    for child, edge in zip(children, edges, strict=True):
        across = edge.left + _aligned(box.style, width - child.width - edge.across)
        box.children.append(Placed(child, left + across, top + y + edge.top))
        y = y + child.height + edge.upright + gap + between
    return height


def _width_in_column(element: Element, container: Style, layouts: Layouts, width: Any) -> Any:
    style = layouts.style_of(element)
    own = length(style["width"], width)
    free = width - margins(style, width).across
    if own is None and container["align-items"] != "stretch":
        narrow, whole = layouts.extents(element, width)  # fit-content
        return detrun.minimum(detrun.maximum(narrow, free), whole)
    return free if own is None else own


def _column_item(child: Box, outside: Any) -> Item:
    style = child.style
    basis = child.height if isinstance(style["flex-basis"], str | Percent) else style["flex-basis"]
    least = style["min-height"]
    most = None if isinstance(style["max-height"], str | Percent) else style["max-height"]
    return Item(basis, style["flex-grow"], style["flex-shrink"], least, most, outside)


def _justified(style: Style, free: Any, count: int) -> tuple[Any, Any]:
    """9.5: where the first item begins, and what is between two besides the gap."""
    how = style["justify-content"]
    if how == "flex-end":
        return free, 0.0
    if how == "center":
        return free / 2.0, 0.0
    if how == "space-between" and count > 1:
        return 0.0, detrun.maximum(free, 0.0) / (count - 1)
    return 0.0, 0.0


def _aligned(style: Style, free: Any) -> Any:
    """9.6: how far an item is from the start of its line."""
    how = style["align-items"]
    if how == "flex-end":
        return free
    return free / 2.0 if how == "center" else 0.0


def extents_of_row(element: Element, layouts: Layouts, available: Any) -> tuple[Any, Any]:
    """Min-content and max-content width of a flex container's content: 9.9.1, without flex fractions."""
    style = layouts.style_of(element)
    found = []
    for one in items_of(element, layouts):
        across = margins(layouts.style_of(one), available).across
        narrow, whole = layouts.extents(one, available)
        found.append((narrow + across, whole + across))
    if style["flex-direction"] == "column":
        return largest([one for one, _ in found]), largest([one for _, one in found])
    gaps = length(style["gap"], available) * max(len(found) - 1, 0)
    whole = total(one for _, one in found) + gaps
    if style["flex-wrap"] == "wrap":
        return largest([one for one, _ in found]), whole
    return total(one for one, _ in found) + gaps, whole
