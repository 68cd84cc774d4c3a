"""What a run has done is in its file within a second, however slow its steps are.

Chunks end by what is in them, so that digests are functions of runs alone, and a slow program may take hours to fill
one. So while a run is recorded to a file, a thread of the operating system looks twice a second whether a chunk has
ended since, and if none has, asks that the open one be written as it is: fast programs pay nothing. The loop does it
between two steps; the next writing takes the place of this one, and a run that comes to its end leaves the file that it
would have left without. A thread, since the loop then pays nothing per step, and one
that `threading` does not know, since the program might count its threads.
"""

from __future__ import annotations

import _thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from detrun_scheduler import current

SECONDS = 0.5

_real_start_new_thread, _real_allocate_lock = _thread.start_new_thread, _thread.allocate_lock


@contextmanager
def saved_every_second() -> Iterator[None]:
    """For the length of a block, in which a run goes on."""
    over = _real_allocate_lock()
    over.acquire_lock()  # by its old name, which no run watches
    _real_start_new_thread(_ask, (over.acquire_lock,))
    try:
        yield
    finally:
        over.release_lock()


def _ask(is_over: Callable[[bool, float], bool]) -> None:
    first_step = -1  # of the chunk that was open when this looked last
    while not is_over(True, SECONDS):
        run: Any = current.run
        if run is not None:
            if run.journal.first_step == first_step:
                run.save_soon()
            first_step = run.journal.first_step
