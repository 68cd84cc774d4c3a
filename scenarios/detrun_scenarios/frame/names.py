"""Things by their names, with the near names where there is no such thing."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

from detrun_scheduler.errors import UsageError

Thing = TypeVar("Thing")


def named(missing: str, name: str, known: Mapping[str, Thing]) -> Thing:
    """What ``known`` has under that name.

    Args:
        missing: how the message begins if there is none: ``"scenario queue has no loss"``.

    Raises:
        UsageError: there is none.
    """
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, list(known), n=3)
    if near:
        raise UsageError(f"{missing} {name!r}; did you mean {' or '.join(near)}?")
    raise UsageError(f"{missing} {name!r}; " + (f"there are {', '.join(known)}" if known else "it has none"))
