"""Errors of calls name paths as the program has given them, and descriptors not at all, as those of ``os`` do.

Below, paths are absolute: `FileSystem` raises errors with these.
"""

from __future__ import annotations

import os
from typing import Any

_OF_TWO_PATHS = frozenset(("rename", "replace", "link", "symlink"))
_UNNAMED = frozenset(("getcwd", "getcwdb"))


def name_as_given(error: OSError, call: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Let the error of ``os.call(*arguments, **named)`` have the paths of the call."""
    given = [*arguments, *named.values()]
    first = given[0] if given else None
    if call in _UNNAMED or first is None or isinstance(first, int):
        del error.filename, error.filename2
        return
    error.filename = _path(first)
    if call in _OF_TWO_PATHS:
        error.filename2 = _path(named["dst"] if len(arguments) < 2 else arguments[1])
    else:
        del error.filename2


def _path(given: Any) -> Any:
    return os.fspath(given) if isinstance(given, str | bytes | os.PathLike) else given
