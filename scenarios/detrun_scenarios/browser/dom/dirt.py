"""`Dirt`: which boxes are out of date, as two bits in each element, so that layout goes only where it has to.

Rule: where a connected element needs layout, every ancestor knows (`child_needs_layout`). So a walk up ends at the
first ancestor who knows already, and layout, from the root downwards, passes over whatever has neither bit.

Source: dirty bits of Blink's layout objects (``LayoutObject::MarkContainerChain``).
"""

from __future__ import annotations

from detrun_scenarios.browser.dom.nodes import Element


class Dirt:
    """See the module."""

    def mark(self, element: Element) -> None:
        """The element's own boxes are out of date."""
        element.needs_layout = True
        above = element.parent
        while above is not None and not above.child_needs_layout:
            above.child_needs_layout = True
            above = above.parent

    def adopted(self, element: Element) -> None:
        """A subtree has another parent. Boxes are placed relative to their parents, so what was laid out stays so.

        What was out of date before the move stays marked, too.
        """
        assert element.parent is not None
        self.mark(element.parent)

    def clean(self, element: Element) -> None:
        """The element and all below are laid out."""
        element.needs_layout = element.child_needs_layout = False
