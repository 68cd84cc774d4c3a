"""Where boxes are on the page, and whether two layouts are the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from detrun.ad.value import primal_of
from detrun_scenarios.browser.dom.nodes import Element
from detrun_scenarios.browser.layout.boxes import Box


class Rect(NamedTuple):
    """A rectangle on the page, in CSS pixels."""

    x: Any
    y: Any
    width: Any
    height: Any

    def plain(self) -> Rect:
        """With bare numbers."""
        return Rect(*(float(primal_of(one)) for one in self))

    def has(self, x: float, y: float) -> bool:
        """Whether a point is inside; of a plain rectangle."""
        return bool(self.x <= x < self.x + self.width and self.y <= y < self.y + self.height)


def placed(box: Box, x: Any = 0.0, y: Any = 0.0) -> Iterator[tuple[Box, Rect]]:
    """Every box with where it is on the page, in the order of the document."""
    yield box, Rect(x, y, box.width, box.height)
    for child, across, down in box.children:
        yield from placed(child, x + across, y + down)


def element_at(root: Box, x: float, y: float) -> Element:
    """The innermost element whose box has a point of the page."""
    found = root.element
    for box, rect in placed(root):
        if rect.plain().has(x, y):
            found = box.element
    return found


def first_difference(one: Box, other: Box) -> str:
    """Where two layouts differ first, in words; an empty string where they do not."""
    for (left, at), (right, there) in zip(placed(one), placed(other), strict=False):
        if left.element is not right.element:
            return f"{left.element} stands where {right.element} should"
        if any(abs(a - b) > 1e-9 for a, b in zip(at.plain(), there.plain(), strict=True)):
            return f"{left.element} is at {at.plain()} and should be at {there.plain()}"
        if len(left.children) != len(right.children):
            return f"{left.element} has {len(left.children)} boxes inside and should have {len(right.children)}"
        for word, wanted in zip(left.fragments, right.fragments, strict=False):
            off = max(abs(primal_of(word.x) - primal_of(wanted.x)), abs(primal_of(word.y) - primal_of(wanted.y)))
            if word.text != wanted.text or off > 1e-9:
                return f"{left.element} has {word.text!r} where {wanted.text!r} should be"
        if len(left.fragments) != len(right.fragments):
            return f"{left.element} has {len(left.fragments)} words and should have {len(right.fragments)}"
    return ""
