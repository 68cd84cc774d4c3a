"""The design of the page: where a designer has put things, in CSS pixels, as left, top, width and height by id."""

from __future__ import annotations

LEFT, RIGHT, TOP, STEP = 268.0, 533.0, 48.0, 202.0
CARD_WIDTH, CARD_HEIGHT = 247.0, 184.0

DESIGN: dict[str, tuple[float, float, float, float]] = {
    "aside": (20.0, TOP, 230.0, 990.0),
    **{
        f"card{number}": ((LEFT, RIGHT)[number % 2], TOP + STEP * (number // 2), CARD_WIDTH, CARD_HEIGHT)
        for number in range(6)
    },
}
