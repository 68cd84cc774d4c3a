"""A subtree that has moved is taken to be laid out, although something in it has changed since the last layout."""

from __future__ import annotations

from detrun_scenarios.browser.dom.dirt import Dirt
from detrun_scenarios.browser.dom.nodes import Element


class LostDirt(Dirt):
    """Clears the bits of what moves."""

    def adopted(self, element: Element) -> None:
        """See `Dirt.adopted`."""
        self.clean(element)  # right: what was out of date stays so
        super().adopted(element)
