"""Replaced elements: images. Their size is that of the style, of the attributes, or of the picture, once it is decoded.

An image without a size is nothing until its picture comes, and then pushes away what is below: layout shifts.
"""

from __future__ import annotations

from typing import Any

import detrun
from detrun_scenarios.browser.dom.nodes import Element
from detrun_scenarios.browser.layout.block import height_of
from detrun_scenarios.browser.layout.boxes import Box, length
from detrun_scenarios.browser.style.cascade import Style


def is_replaced(element: Element) -> bool:
    """Whether it is an image."""
    return element.tag == "img"


def natural(element: Element) -> tuple[float, float]:
    """Width and height without any style."""
    if element.picture is not None:
        return float(element.picture[0]), float(element.picture[1])
    return float(element.attributes.get("width", 0)), float(element.attributes.get("height", 0))


def width_of_image(element: Element, style: Style, available: Any) -> Any:
    """The width: as styled or natural, within ``max-width``."""
    own = length(style["width"], available)
    width = natural(element)[0] if own is None else own
    most = length(style["max-width"], available)
    return width if most is None else detrun.minimum(width, most)


def lay_out_image(box: Box) -> None:
    """Give an image its height: in proportion to its width, unless the style says otherwise."""
    across, down = natural(box.element)
    box.height = height_of(box, box.width * (down / across) if across else down)
