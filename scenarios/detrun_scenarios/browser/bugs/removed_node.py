"""A picture that has come is given to its element, although that was removed while it was fetched."""

from __future__ import annotations

from detrun_scenarios.browser.dom.nodes import Element
from detrun_scenarios.browser.network.images import ImageLoader


class RemovedNode(ImageLoader):
    """Asks only whether the address is still the same."""

    def wants(self, element: Element, address: str) -> bool:
        """See `ImageLoader.wants`."""
        return element.attributes.get("src") == address  # right: and it is connected
