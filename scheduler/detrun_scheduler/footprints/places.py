"""Places in the code: lines that a `Preemption` can be restricted to, as recordings and campaigns name them.

A place is text, ``bank/account.py:Account.deposit+3``: the last two parts of the file's path, which are the same
wherever the project is checked out, the function by its qualified name, and how many lines after its first. So a place
stays where it is when the code around the function is edited. Two files that end alike share their places, as do two
functions of one name in one file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cache
from types import CodeType

from detrun_scheduler.errors import UsageError

_NO_LINES: frozenset[int] = frozenset()


@cache
def short_name(filename: str) -> str:
    """What places call a file (a ``co_filename``)."""
    return "/".join(filename.replace(os.sep, "/").split("/")[-2:])


def place(filename: str, function: str, offset: int) -> str:
    """A line of a function: its file, its qualified name, and how many lines after its first."""
    return f"{short_name(filename)}:{function}+{offset}"


class Places:
    """Lines by function, of places given as text.

    Raises:
        UsageError: one of them is no place.
    """

    def __init__(self, places: Iterable[str]) -> None:
        self.names = tuple(sorted(set(places)))
        found: dict[tuple[str, str], set[int]] = {}
        for name in self.names:
            file, _, rest = name.rpartition(":")
            function, _, line = rest.rpartition("+")
            if not file or not function or not line.isdecimal():
                raise UsageError(
                    f"{name!r} is no place in the code; name a file, a function in it and a line of that: "
                    "'bank/account.py:Account.deposit+3'"
                )
            found.setdefault((file, function), set()).add(int(line))
        self._lines: Mapping[tuple[str, str], frozenset[int]] = {one: frozenset(lines) for one, lines in found.items()}

    def has(self, code: CodeType, line: int) -> bool:
        """Whether a line of a function is among the places."""
        return line - code.co_firstlineno in self._of(code)

    def lines_of(self, code: CodeType) -> frozenset[int]:
        """The lines of a function that are among the places."""
        return frozenset(code.co_firstlineno + line for line in self._of(code))

    def _of(self, code: CodeType) -> frozenset[int]:
        return self._lines.get((short_name(code.co_filename), code.co_qualname), _NO_LINES)
