"""Whether code runs because a module is being imported.

Which modules a run is the first to import is no part of it: the second run of a process finds them imported. So what a
module asks of a disk while it is imported takes neither a step nor time, and a recording that was made in a fresh
process can be replayed in one that has imported everything.
"""

from __future__ import annotations

import importlib._bootstrap as bootstrap
from types import FrameType
from typing import Any

from detrun_scheduler.user_code import is_within

_bootstrap: Any = bootstrap  # stubs leave private names out
_IMPORTING = (_bootstrap._find_and_load.__code__,)


def is_importing(frame: FrameType | None) -> bool:
    """Whether ``frame`` or one that called it imports a module."""
    return is_within(frame, _IMPORTING)
