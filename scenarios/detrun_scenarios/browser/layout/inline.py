"""Inline layout: words into lines, as many on each as fit.

Where a word breaks to the next line is a decision: as the width moves, the height of a paragraph is constant, and
jumps.

Source: CSS Inline Layout Module Level 3, simplified: no vertical alignment but the top, no bidirectional text, no
breaks within words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import detrun
from detrun_scenarios.browser.dom.nodes import Element, Node, Text
from detrun_scenarios.browser.dom.text import SPACE
from detrun_scenarios.browser.layout.boxes import Fragment
from detrun_scenarios.browser.style.cascade import Style


class Word(NamedTuple):
    """A word with its width in shares of the font's size, the element whose text it is, and its style."""

    text: str
    advance: float
    element: Element
    style: Style


def words_of(nodes: Sequence[Node], parent: Element, style_of: Callable[[Element], Style]) -> Iterator[Word]:
    """The words of a run of inline nodes, in order."""
    for node in nodes:
        if isinstance(node, Text):
            style = style_of(parent)
            for word, advance in node.words:
                yield Word(word, advance, parent, style)
        elif style_of(node)["display"] != "none":
            yield from words_of(node.children, node, style_of)


def lines(words: Iterator[Word], x: Any, y: Any, available: Any) -> tuple[list[Fragment], Any]:
    """The words on lines whose first begins at a point, and the height of all lines."""
    found: list[Fragment] = []
    top: Any = 0.0
    height: Any = 0.0  # of the line
    end: Any = 0.0  # of its last word
    begins_line = True
    for word in words:
        size = word.style["font-size"]
        width, tall = word.advance * size, word.style["line-height"] * size
        if not begins_line and end + SPACE * size + width > available:
            top, begins_line = top + height, True
        left = 0.0 if begins_line else end + SPACE * size
        height = tall if begins_line else detrun.maximum(height, tall)
        found.append(Fragment(word.text, word.element, x + left, y + top, width, tall))
        end, begins_line = left + width, False
    return found, top + height


def widest(words: Iterator[Word]) -> tuple[Any, Any]:
    """The widths of a run if it breaks at every word, and if it never breaks."""
    narrow: Any = 0.0
    whole: Any = 0.0
    for number, word in enumerate(words):
        size = word.style["font-size"]
        width = word.advance * size
        narrow = detrun.maximum(narrow, width) if number else width
        whole = whole + SPACE * size + width if number else width
    return narrow, whole
