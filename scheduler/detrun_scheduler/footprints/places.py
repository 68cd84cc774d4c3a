"""Places in the code: lines that a `Preemption` can be restricted to, as recordings and campaigns name them.

A place is text, ``bank/account.py:12``: a line, and the last two parts of its file's path, which are the same wherever
the project is checked out. Two files that end alike share their places.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cache

from detrun_scheduler.errors import UsageError


@cache
def short_name(filename: str) -> str:
    """What places call a file (a ``co_filename``)."""
    return "/".join(filename.replace(os.sep, "/").split("/")[-2:])


def place(filename: str, line: int) -> str:
    """A line of a file."""
    return f"{short_name(filename)}:{line}"


class Places:
    """Lines by file, of places given as text.

    Raises:
        UsageError: one of them is no place.
    """

    def __init__(self, places: Iterable[str]) -> None:
        self.names = tuple(sorted(set(places)))
        found: dict[str, set[int]] = {}
        for name in self.names:
            file, _, line = name.rpartition(":")
            if not file or not line.isdecimal():
                raise UsageError(f"{name!r} is no place in the code; name a file and a line: 'bank/account.py:12'")
            found.setdefault(file, set()).add(int(line))
        self._lines: Mapping[str, frozenset[int]] = {file: frozenset(lines) for file, lines in found.items()}

    def lines_of(self, filename: str) -> frozenset[int]:
        """Its lines that are among the places."""
        return self._lines.get(short_name(filename), frozenset())
