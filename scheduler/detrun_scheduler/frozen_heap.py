"""A block in which the garbage collector sees nothing that is older than it: what exists when it begins is frozen.

At its end everything is as it was. What the program had frozen on purpose cannot be told from ours and stays frozen, so
then nothing is melted. Within a block another one freezes what has been made since, and the outer one melts it: it does
not ask how much is frozen, which Python answers by counting a million objects of large libraries one by one.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Python 3.12 begins with some hundred of its own objects frozen, which unfreezing does no harm to.
FROZEN_BY_PYTHON = 1_000 if sys.version_info[:2] == (3, 12) else 0

_entered = 0  # blocks that have not ended


def is_frozen() -> bool:
    """Whether such a block has begun and not ended. Python would count what is frozen, for 0.1 s of large libraries."""
    return _entered > 0


@contextmanager
def frozen_heap() -> Iterator[None]:
    """Freeze what exists for the length of a block. Nothing is collected first."""
    global _entered
    melts = not _entered and gc.get_freeze_count() <= FROZEN_BY_PYTHON
    gc.freeze()
    _entered += 1
    try:
        yield
    finally:
        _entered -= 1
        if melts:
            gc.unfreeze()
