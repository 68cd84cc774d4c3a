"""`Layout`: the boxes of a document, of which only those are computed again that are out of date.

A box stays if neither its element nor one below is marked and its parent gives it the same numbers as before. What is
kept is then equal to what would be computed; `from_scratch` computes all, and a run compares the two.

Source: dirty bits and constraint spaces of Blink's LayoutNG.
"""

from __future__ import annotations

from typing import Any

from detrun.ad.value import primal_of
from detrun_scenarios.browser.dom.document import Document
from detrun_scenarios.browser.dom.nodes import Element
from detrun_scenarios.browser.layout.block import extents_of_block, lay_out_block, width_in
from detrun_scenarios.browser.layout.boxes import Box, Given, insets, length, margins
from detrun_scenarios.browser.layout.flex import extents_of_row, lay_out_flex
from detrun_scenarios.browser.layout.replaced import is_replaced, lay_out_image, width_of_image
from detrun_scenarios.browser.style.cascade import Cascade, Style

KEPT = 2  # boxes of an element: a flex container asks for one to measure, and for one that is stretched


class Layout:
    """See the module.

    Args:
        heeds_dirt: whether dirty bits say what must be computed again; else all that there is was computed just now.

    Attributes:
        laid_out: how many boxes were computed since the beginning.
    """

    def __init__(self, document: Document, cascade: Cascade, heeds_dirt: bool = True) -> None:
        self._document = document
        self._cascade = cascade
        self._heeds_dirt = heeds_dirt
        self._boxes: dict[Element, list[Box]] = {}
        self._turn = 0  # of updates
        self._extents: dict[Element, tuple[int, float, tuple[Any, Any]]] = {}
        self.laid_out = 0

    def update(self, width: float) -> Box:
        """The box of the root, in a viewport that is so wide; styles are up to date."""
        self._turn += 1
        return self.lay_out(self._document.root, Given(width))

    def style_of(self, element: Element) -> Style:
        """See `Layouts`."""
        return self._cascade.styles[element]

    def lay_out(self, element: Element, given: Given) -> Box:
        """See `Layouts`."""
        kept = self._boxes.setdefault(element, [])
        if self._is_dirty(element):
            kept.clear()
            self._extents.pop(element, None)
        for one in kept:
            if one.given.is_as(given):
                return one
        self.laid_out += 1
        style = self.style_of(element)
        box = Box(element, style, given)
        if given.width is not None:
            box.width = given.width
        elif is_replaced(element):
            box.width = width_of_image(element, style, given.available)
        else:
            box.width = width_in(style, given.available, margins(style, given.available))
        if is_replaced(element):
            lay_out_image(box)
        elif style["display"] == "flex":
            lay_out_flex(box, self)
        else:
            lay_out_block(box, self)
        kept[KEPT - 1 :] = []
        kept.insert(0, box)
        if self._heeds_dirt:
            self._document.dirt.clean(element)
        return box

    def extents(self, element: Element, available: Any) -> tuple[Any, Any]:
        """See `Layouts`."""
        turn, whole, kept = self._extents.get(element, (0, 0.0, (0.0, 0.0)))
        is_fresh = turn == self._turn or (turn > 0 and not self._is_dirty(element))
        if is_fresh and whole == primal_of(available):
            return kept
        found = self._measured(element, available)
        self._extents[element] = self._turn, primal_of(available), found
        return found

    def _is_dirty(self, element: Element) -> bool:
        return self._heeds_dirt and (element.needs_layout or element.child_needs_layout)

    def _measured(self, element: Element, available: Any) -> tuple[Any, Any]:
        style = self.style_of(element)
        own = length(style["width"], available)
        if own is not None:
            return own, own
        if is_replaced(element):
            width = width_of_image(element, style, available)
            return width, width
        of_row = style["display"] == "flex"
        narrow, whole = (extents_of_row if of_row else extents_of_block)(element, self, available)
        across = insets(style, available).across
        return narrow + across, whole + across


def from_scratch(document: Document, cascade: Cascade, width: float) -> Box:
    """The box of the root, computed without anything that is kept; the dirty bits stay.

    Args:
        cascade: with the variables and sheets of the document; its styles are computed anew.
    """
    anew = Cascade(cascade.sheets, cascade.variables)
    for element in document.root.elements():
        anew.styles[element] = anew.computed(element)
    return Layout(document, anew, heeds_dirt=False).update(width)
