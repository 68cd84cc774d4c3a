"""The display list: what is painted, in order, with plain numbers in page coordinates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from detrun.ad.value import primal_of
from detrun_scenarios.browser.layout.boxes import Box
from detrun_scenarios.browser.layout.geometry import Rect, placed


class Fill(NamedTuple):
    """A rectangle of one colour, ``"#rrggbb"``."""

    rect: Rect
    colour: str


class Words(NamedTuple):
    """Text with its upper left corner, and the size of its font in pixels."""

    x: float
    y: float
    text: str
    size: float
    colour: str


class Picture(NamedTuple):
    """A decoded image, by its address."""

    rect: Rect
    address: str


Item: TypeAlias = Fill | Words | Picture


def display_list(root: Box) -> list[Item]:
    """All of a page, the lowest first: the background of a box, its border, then what is inside."""
    return [item for box, rect in placed(root) for item in _items(box, rect.plain())]


def _items(box: Box, rect: Rect) -> Iterator[Item]:
    style = box.style
    border = _plain(style["border-width"])
    if border:
        yield Fill(rect, style["border-color"])
    if style["background-color"] != "transparent":
        inner = Rect(rect.x + border, rect.y + border, rect.width - 2 * border, rect.height - 2 * border)
        yield Fill(inner, style["background-color"])
    if box.element.tag == "img" and box.element.picture is not None:
        yield Picture(rect, box.element.attributes["src"])
    for word in box.fragments:
        size = _plain(word.height) / 1.2
        yield Words(rect.x + _plain(word.x), rect.y + _plain(word.y), word.text, size, style["color"])


def has_content(items: list[Item]) -> bool:
    """Whether there is a text or a picture, which is what counts as a first paint with content."""
    return any(not isinstance(one, Fill) for one in items)


def _plain(number: Any) -> float:
    return float(primal_of(number))
