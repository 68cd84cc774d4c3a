"""What a page costs, measured from outside while it is loaded and used.

- ``design_distance``: mean square, in square pixels, of how far the edges of the designed elements are from their
  design, when the page has come to rest.
- ``style_time``: seconds from the navigation until the style sheet, which holds back painting, has come.
- ``first_paint``: seconds until the first frame with content is ready.
- ``picture_time``: mean seconds from when an image is asked for until it is decoded.
- ``layout_shift``: sum over frames of the share of the viewport that moved by itself, times how far, as a share of the
  viewport's longer side. What a user has just done is no excuse here, and the sum is over the whole visit.
- ``missed_frames``: share of the frames that were not ready one tick after they were due.

Source: Layout Instability API (W3C draft, 2023) for ``layout_shift``; Paint Timing for ``first_paint``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import trio

import detrun
from detrun import relaxed
from detrun.ad.value import primal_of
from detrun_scenarios.browser.dom.nodes import Element, Text
from detrun_scenarios.browser.layout.geometry import Rect
from detrun_scenarios.browser.loop.event_loop import TICK_SECONDS, Frame
from detrun_scenarios.browser.loop.rendering import HEIGHT, WIDTH
from detrun_scenarios.browser.paint.display_list import Item, has_content
from detrun_scenarios.frame.measured import mean

MOVED_LEAST = 3.0  # px, from which a move counts as a shift


class Meter:
    """Of all pages that are visited; see the module.

    Attributes:
        shifts: the score of each frame, with when it was.
    """

    def __init__(self) -> None:
        self.shifts: list[tuple[Any, Any]] = []
        self.paints: list[Any] = []
        self.styles: list[Any] = []
        self.distances: list[Any] = []
        self.pictures: list[Any] = []
        self._began: Any = 0.0
        self._before: dict[Element, Rect] = {}
        self._is_painted = False

    def navigates(self) -> None:
        """A page is asked for."""
        self._began = trio.current_time()
        self._before = {}
        self._is_painted = False

    def style_has_come(self) -> None:
        """A style sheet of the page is there."""
        self.styles.append(trio.current_time() - self._began)

    def picture_has_come(self, asked: Any) -> None:
        """A picture is decoded that was asked for at that time."""
        self.pictures.append(trio.current_time() - asked)

    def seen(self, where: Mapping[Element, Rect], scrolled: float, items: list[Item]) -> None:
        """A frame, just before it is ready."""
        if not self._is_painted and has_content(items):
            self._is_painted = True
            self.paints.append(trio.current_time() - self._began)
        now = {
            element: Rect(rect.x, rect.y - scrolled, rect.width, rect.height)
            for element, rect in where.items()
            if is_content(element)
        }
        score = shift_score(self._before, now)
        if primal_of(score) > 0.0:
            self.shifts.append((trio.current_time(), score))
        self._before = now

    def scrolled_by(self, down: float) -> None:
        """The user has scrolled: everything moves together, and only what moves beyond that counts as a shift."""
        self._before = {
            element: Rect(rect.x, rect.y - down, rect.width, rect.height) for element, rect in self._before.items()
        }

    def rests(self, where: Mapping[Element, Rect], design: Mapping[str, tuple[float, float, float, float]]) -> None:
        """The page has come to rest; the design has left, top, width and height by id."""
        off = [
            (one - wanted) ** 2
            for element, rect in where.items()
            if element.name in design
            for one, wanted in zip(rect, design[element.name], strict=True)
        ]
        self.distances.append(mean(off))

    def losses(self, frames: Sequence[Frame]) -> dict[str, Any]:
        """All of them."""
        late = [relaxed.threshold(one.ready - one.due, TICK_SECONDS) for one in frames]
        return {
            "design_distance": mean(self.distances),
            "style_time": mean(self.styles),
            "first_paint": mean(self.paints),
            "picture_time": mean(self.pictures),
            "layout_shift": detrun.sum([score for _, score in self.shifts]),
            "missed_frames": mean(late),
        }


def is_content(element: Element) -> bool:
    """Whether an element shows something itself: an image, or text."""
    return element.tag == "img" or any(isinstance(one, Text) for one in element.children)


def shift_score(before: Mapping[Element, Rect], now: Mapping[Element, Rect]) -> Any:
    """Of one frame, of rectangles relative to the viewport: impact fraction times distance fraction."""
    touched: list[Rect] = []
    farthest: Any = 0.0
    for element, rect in now.items():
        was = before.get(element)
        if was is None:
            continue
        moved = detrun.maximum(abs(rect.x - was.x), abs(rect.y - was.y))
        visible = [part for one in (was, rect) if (part := in_viewport(one)) is not None]
        if primal_of(moved) >= MOVED_LEAST and visible:
            touched += visible
            farthest = detrun.maximum(farthest, moved)
    if not touched:
        return 0.0
    return area_of(touched) / (WIDTH * HEIGHT) * detrun.minimum(farthest / max(WIDTH, HEIGHT), 1.0)


def in_viewport(rect: Rect) -> Rect | None:
    """The part that is seen; None if there is none."""
    left, top = detrun.maximum(rect.x, 0.0), detrun.maximum(rect.y, 0.0)
    right = detrun.minimum(rect.x + rect.width, WIDTH)
    low = detrun.minimum(rect.y + rect.height, HEIGHT)
    if primal_of(right) <= primal_of(left) or primal_of(low) <= primal_of(top):
        return None
    return Rect(left, top, right - left, low - top)


def area_of(rects: Sequence[Rect]) -> Any:
    """Of the union, by strips between the edges."""
    edges = sorted([edge for one in rects for edge in (one.x, one.x + one.width)], key=primal_of)
    found: Any = 0.0
    for left, right in pairwise(edges):
        if primal_of(right) <= primal_of(left):
            continue
        inside = [
            one
            for one in rects
            if primal_of(one.x) <= primal_of(left) and primal_of(one.x + one.width) >= primal_of(right)
        ]
        found = found + (right - left) * _covered(inside)
    return found


def _covered(rects: Sequence[Rect]) -> Any:
    """The height of the union of intervals."""
    found: Any = 0.0
    low: Any = None
    for one in sorted(rects, key=lambda rect: primal_of(rect.y)):
        bottom = one.y + one.height
        if low is None or primal_of(one.y) >= primal_of(low):
            found = found + one.height
        elif primal_of(bottom) > primal_of(low):
            found = found + (bottom - low)
        low = bottom if low is None or primal_of(bottom) > primal_of(low) else low
    return found
