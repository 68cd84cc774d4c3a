"""The user of a page: clicks at drawn moments, at buttons, cards or anywhere, and scrolls."""

from __future__ import annotations

from dataclasses import dataclass

import trio

import detrun
from detrun_scenarios.browser.loop.rendering import HEIGHT, WIDTH
from detrun_scenarios.browser.page import Page

PRESS_AT = {"menu": 0.15, "more": 0.2, "card": 0.5}  # how often; anywhere else otherwise
SCROLL_SHARE = 0.25
PRESS_SECONDS = 0.05  # between press and release
SCROLL_PIXELS = 240.0


@dataclass(frozen=True, slots=True)
class Habits:
    """How a user acts.

    Attributes:
        pause: mean seconds between two actions; 0 for a user who does nothing.
    """

    pause: float


async def use(page: Page, habits: Habits, number: int) -> None:
    """Act until the page is left."""
    if not habits.pause:
        return
    while True:
        await trio.sleep(float(detrun.exponential(habits.pause, key=f"pause {number}")))
        if detrun.bernoulli(SCROLL_SHARE, key=f"scrolls {number}"):
            page.scroll(SCROLL_PIXELS * float(detrun.uniform(-0.4, 1.0, key=f"scroll {number}")))
            continue
        click = page.press(*_point(page, number))
        await trio.sleep(PRESS_SECONDS)
        if click is not None:
            page.release(click)


def _point(page: Page, number: int) -> tuple[float, float]:
    """Where a click goes: the middle of something that is known, or a point anywhere."""
    x = WIDTH * float(detrun.uniform(key=f"x {number}"))
    y = HEIGHT * float(detrun.uniform(key=f"y {number}"))
    what = detrun.choice([*PRESS_AT, "anywhere"], [*PRESS_AT.values(), 1 - sum(PRESS_AT.values())], key=f"at {number}")
    aimed = [
        rect.plain()
        for element, rect in page.rendering.where.items()
        if element.name == what or what in element.classes
    ]
    if not aimed:
        return x, y
    rect = aimed[int(len(aimed) * x / WIDTH)]
    return rect.x + rect.width / 2, rect.y + rect.height / 2 - page.rendering.scrolled
