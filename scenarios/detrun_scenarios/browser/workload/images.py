"""The images of the site: stripes of colour with noise, so that they are as many bytes as photographs would be."""

from __future__ import annotations

import random
from collections.abc import Iterator
from io import BytesIO

SIZES = ((120, 60), (100, 72), (140, 84), (90, 90), (128, 48), (110, 66), (96, 80), (150, 60))  # pixels
NOISE = 24


def images() -> list[bytes]:
    """PNG files, the same in every run."""
    from PIL import Image

    Image.preinit()
    found = []
    for number, size in enumerate(SIZES):
        picture = Image.frombytes("RGB", size, bytes(_pixels(number, *size)))
        file = BytesIO()
        picture.save(file, "PNG")
        found.append(file.getvalue())
    return found


def _pixels(number: int, across: int, down: int) -> Iterator[int]:
    noise = random.Random(number)
    base = [noise.randrange(60, 200) for _ in range(3)]
    for y in range(down):
        for x in range(across):
            shade = 30 if (x + 2 * y) % 24 < 12 else 0
            grain = noise.randrange(NOISE) if x % 3 == 0 else 0
            yield from (min(one + shade + grain, 255) for one in base)
