"""The network that a program of asyncio's finds where no world is open: one machine, itself, called localhost.

What simulates it stands in a room above and says so here. It is opened by the first call of an event loop that needs a
network, and closed with the run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

opener: Callable[[Any], None] | None = None  # opens it for a run, and sees to its end
_opened_for = -1  # serial of the run in which it was opened last


def is_open(run: Any) -> bool:
    """Whether it has been opened in ``run``."""
    return bool(run.serial == _opened_for)


def open_for(run: Any) -> bool:
    """Open it in ``run`` unless a network is there; whether there is one now."""
    global _opened_for
    if run.host.local_time is not None or run.serial == _opened_for:  # the first is set while a world is open
        return True
    if opener is None:
        return False
    opener(run)
    _opened_for = run.serial
    return True
