"""One visit to one page: what the picture of the scenario shows.

The page is used while it loads, without faults. What the network, the decoders and the main thread did is in the
browser afterwards; the display list is the last one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from detrun.world import FaultPlan
from detrun_scenarios.browser.layout.geometry import Rect
from detrun_scenarios.browser.loop.rendering import HEIGHT, WIDTH
from detrun_scenarios.browser.page import Browser, Page
from detrun_scenarios.browser.paint.display_list import Item
from detrun_scenarios.browser.settings import settings_of
from detrun_scenarios.browser.workload.images import images
from detrun_scenarios.browser.workload.runs import Workload, visit
from detrun_scenarios.browser.workload.user import Habits

WORKLOAD = Workload(pages=1, seconds=0.9, cards=6, feeds=3, is_lively=True, habits=Habits(pause=0.06), checked_every=1)


@dataclass(slots=True)
class Story:
    """See the module. `tell` is its program."""

    browser: Browser | None = None
    items: list[Item] = field(default_factory=list)
    viewport: Rect = field(default_factory=lambda: Rect(0.0, 0.0, WIDTH, HEIGHT))

    async def tell(self, params: Mapping[str, Any]) -> None:
        """Let it happen. The program, for `detrun.record`."""
        await visit(WORKLOAD, settings_of(params), FaultPlan(), images(), watch=self._watch, left=self._left)

    def _watch(self, browser: Browser) -> None:
        self.browser = browser

    def _left(self, page: Page, number: int) -> None:
        self.items = page.rendering.items
        self.viewport = Rect(0.0, page.rendering.scrolled, WIDTH, HEIGHT)
