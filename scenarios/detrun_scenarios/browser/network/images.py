"""`ImageLoader`: fetches the images of a page, when they come near the viewport, and has them decoded in threads.

Between the request and the picture time passes, in which the element may have been removed, or given another address.
So it is looked at again before the picture is given to it.

Source: lazy loading of the HTML standard, 2.5.7; decoding off the main thread as in Blink's ``ImageDecodeCache``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import trio

from detrun_scenarios.browser.dom.document import Document
from detrun_scenarios.browser.dom.nodes import Element
from detrun_scenarios.browser.layout.geometry import Rect
from detrun_scenarios.browser.loop.event_loop import EventLoop, Source

THREADS = 2
PIXEL_SECONDS = 1e-6  # of decoding


class Decoders:
    """Threads that decode.

    Attributes:
        pictures: what was decoded, by address.
        busy: which address was decoded when.
    """

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(THREADS)
        self.pictures: dict[str, Any] = {}
        self.busy: list[tuple[str, Any, Any]] = []

    async def decode(self, address: str, body: bytes) -> tuple[int, int]:
        """Width and height of an image, which is kept."""
        if address not in self.pictures:
            async with self._limiter:
                began = trio.current_time()
                self.pictures[address] = await trio.to_thread.run_sync(decoded, body)
                self.busy.append((address, began, trio.current_time()))
        across, down = self.pictures[address].size
        return int(across), int(down)


def decoded(body: bytes) -> Any:
    """A picture of Pillow; takes its time."""
    from PIL import Image

    picture = Image.open(BytesIO(body)).convert("RGB")
    time.sleep(PIXEL_SECONDS * picture.width * picture.height)
    return picture


class ImageLoader:
    """Of one page.

    Args:
        tasks: in which it waits.
        get: fetches an image by address.
        given: told of an element right before its picture is given to it.
        has_come: told of a picture that is decoded, with when it was asked for.
    """

    def __init__(
        self,
        document: Document,
        loop: EventLoop,
        tasks: trio.Nursery,
        get: Callable[[str], Any],
        decoders: Decoders,
        given: Callable[[Element], None],
        has_come: Callable[[Any], None],
    ) -> None:
        self._document = document
        self._loop = loop
        self._tasks = tasks
        self._get = get
        self._decoders = decoders
        self._given = given
        self._has_come = has_come
        self._requested: dict[Element, str] = {}

    def look(self, where: dict[Element, Rect], top: float, bottom: Any) -> None:
        """Request images that are above a line of the page and not above the viewport."""
        for element, rect in where.items():
            is_wanted = element.tag == "img" and self._is_new(element)
            if is_wanted and rect.y < bottom and rect.y + rect.height >= top:
                self.request(element)

    def request(self, element: Element) -> None:
        """Fetch the image of an element."""
        if self._is_new(element):
            address = element.attributes["src"]
            self._requested[element] = address
            self._tasks.start_soon(self._load, element, address)

    def wants(self, element: Element, address: str) -> bool:
        """Whether a picture that has come is still for this element."""
        return element.is_connected and element.attributes.get("src") == address

    async def _load(self, element: Element, address: str) -> None:
        asked = trio.current_time()
        body = await self._get(address)
        size = await self._decoders.decode(address, body)
        self._has_come(asked)

        def show() -> None:
            if self.wants(element, address):
                self._given(element)
                self._document.show_picture(element, size)

        self._loop.queue(Source.NETWORK, show)

    def _is_new(self, element: Element) -> bool:
        address = element.attributes.get("src")
        return address is not None and self._requested.get(element) != address
