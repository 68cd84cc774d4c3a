"""`Rendering`: one frame of a page: animation callbacks, styles, layout, images that come near, the display list.

Each stage takes virtual time in proportion to what it had to do again.

Source: "update the rendering", WHATWG, HTML standard, 8.1.7.3, steps 14 and following.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detrun.ad.value import primal_of
from detrun_scenarios.browser.dom.document import Document
from detrun_scenarios.browser.dom.nodes import Element
from detrun_scenarios.browser.invariants import Monitor
from detrun_scenarios.browser.layout.boxes import Box
from detrun_scenarios.browser.layout.engine import Layout, from_scratch
from detrun_scenarios.browser.layout.geometry import Rect, first_difference, placed
from detrun_scenarios.browser.loop.event_loop import EventLoop
from detrun_scenarios.browser.network.images import ImageLoader
from detrun_scenarios.browser.paint.display_list import Item, display_list
from detrun_scenarios.browser.style.cascade import Cascade
from detrun_scenarios.browser.style.sheets import Sheets

WIDTH, HEIGHT = 800.0, 600.0  # of the viewport
STYLE_SECONDS, LAYOUT_SECONDS, PAINT_SECONDS = 2e-5, 6e-5, 1e-5  # of an element, a box, an item

Seen = Callable[[dict[Element, Rect], float, "list[Item]"], None]


class Rendering:
    """Of one page.

    Args:
        prefetch_distance: in pixels below the viewport, within which images are fetched.
        seen: told of each frame: where elements are, how far the page is scrolled, what is painted.
        is_checked: tells of each frame whether its layout is compared with one from scratch.

    Attributes:
        root: the last layout; None before the first.
        where: every element on the page, in the last layout.
        items: the last display list.
        scrolled: how far, in pixels.
        blocking: style sheets that are on their way; nothing is painted before.
    """

    def __init__(
        self,
        document: Document,
        sheets: Sheets,
        variables: dict[str, Any],
        prefetch_distance: Any,
        loop: EventLoop,
        monitor: Monitor,
        images: ImageLoader,
        seen: Seen,
        is_checked: Callable[[], bool],
    ) -> None:
        self._document = document
        self._loop = loop
        self._monitor = monitor
        self._images = images
        self._seen = seen
        self._is_checked = is_checked
        self._prefetch_distance = prefetch_distance
        self._plain = Cascade(sheets, {name: primal_of(one) for name, one in variables.items()})
        self.cascade = Cascade(sheets, variables)
        self.layout = Layout(document, self.cascade)
        self.root: Box | None = None
        self.where: dict[Element, Rect] = {}
        self.items: list[Item] = []
        self.scrolled = 0.0
        self.blocking = 0
        self.animations: list[Callable[[], None]] = []

    async def frame(self) -> None:
        """Make one."""
        self._monitor.frame_is_made(self.blocking)
        animations, self.animations = self.animations, []
        for one in animations:
            one()
            await self._loop.checkpoint()
        self._loop.compute(STYLE_SECONDS * self.cascade.update(self._document))
        before = self.layout.laid_out
        self.root = self.layout.update(WIDTH)
        self._loop.compute(LAYOUT_SECONDS * (self.layout.laid_out - before))
        if self._is_checked():
            expected = from_scratch(self._document, self._plain, WIDTH)
            self._monitor.layout_is_made(first_difference(self.root, expected))
        self.where = {box.element: rect for box, rect in placed(self.root)}
        self._images.look(self.where, self.scrolled, self.scrolled + HEIGHT + self._prefetch_distance)
        self.items = display_list(self.root)
        self._loop.compute(PAINT_SECONDS * len(self.items))
        self._seen(self.where, self.scrolled, self.items)

    def scroll(self, down: float) -> None:
        """Move the viewport, within the page."""
        most = max(primal_of(self.root.height) - HEIGHT, 0.0) if self.root is not None else 0.0
        self.scrolled = min(max(self.scrolled + down, 0.0), most)
        self._loop.request_frame()
