"""The design of the page: where a designer has put things, in CSS pixels, as left, top, width and height by id."""

from __future__ import annotations

DESIGN: dict[str, tuple[float, float, float, float]] = {}
