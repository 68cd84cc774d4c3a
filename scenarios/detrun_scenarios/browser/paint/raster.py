"""A display list as an image of Pillow. Pillow is imported when something is painted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detrun_scenarios.browser.layout.geometry import Rect
from detrun_scenarios.browser.paint.display_list import Fill, Item, Picture


def rastered(items: Sequence[Item], pictures: Mapping[str, Any], viewport: Rect, background: str = "#ffffff") -> Any:
    """What is in a part of the page.

    Args:
        pictures: decoded images by address.
    """
    from PIL import Image, ImageDraw, ImageFont

    size = int(viewport.width), int(viewport.height)
    image = Image.new("RGB", size, background)
    pen = ImageDraw.Draw(image)
    for item in items:
        if isinstance(item, Fill | Picture):
            left, top = item.rect.x - viewport.x, item.rect.y - viewport.y
            across, down = round(item.rect.width), round(item.rect.height)
            if across < 1 or down < 1:
                continue
            if isinstance(item, Fill):
                pen.rectangle((left, top, left + across - 1, top + down - 1), fill=item.colour)
            else:
                image.paste(pictures[item.address].resize((across, down)), (round(left), round(top)))
        else:
            font = ImageFont.load_default(max(item.size * 0.92, 4.0))
            pen.text((item.x - viewport.x, item.y - viewport.y), item.text, fill=item.colour, font=font)
    return image
