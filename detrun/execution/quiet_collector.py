"""A quiet garbage collector, and what else many runs in a row share, so that each costs little.

What exists when the block begins is frozen and the collector is off, so that runs pay for their own garbage only. The
generators of the process are put aside once, names stay replaced between runs, and the stacks of threads are kept.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from detrun_scheduler.environment.seeding import PreservedGenerators
from detrun_scheduler.environment.staying import StayingReplaced
from detrun_scheduler.frozen_heap import frozen_heap
from detrun_scheduler.threads.kept_greenlets import KeptStacks


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Freeze what exists and switch the collector off for the length of a block."""
    collecting = gc.isenabled()
    # Nothing is collected first: with a large library loaded that would cost more than a thousand runs.
    try:
        with frozen_heap():
            gc.disable()
            with PreservedGenerators(), StayingReplaced(), KeptStacks():
                yield
    finally:
        if collecting:
            gc.enable()
