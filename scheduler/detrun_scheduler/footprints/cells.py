"""Closure variables told apart by the call that made them, for explanations.

Two calls of a function have two cells for one variable of it, and what happens to one is no business of the other. The
cell itself is out of reach of a trace function. Its call is found where the function that owns the variable is among
the callers, as it is for a helper that is called where it was defined. Elsewhere, as in a thread that runs a closure,
it is known while that function has been called once. Of the others it is only known that they have no call.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from types import CodeType, FrameType

FRAMES_MAX = 50  # looked at among callers


class Cells:
    """The calls that made the cells of one run."""

    def __init__(self) -> None:
        self.calls: dict[tuple[str, str], int] = {}  # by function: how many calls of it have begun
        self.numbers: dict[int, int] = {}  # by address of a frame: the number of its call among those of its function
        self.variables: dict[tuple[str, str], tuple[str, ...]] = {}

    def begun(self, frame: FrameType) -> None:
        """A call begins, of a function whose variables others may close over."""
        code = frame.f_code
        if code.co_cellvars:
            function = _function(code)
            self.variables[function] = code.co_cellvars
            self.numbers[id(frame)] = self.calls[function] = self.calls.get(function, -1) + 1

    def key(self, frame: FrameType, name: str) -> Hashable:
        """What identifies the cell of a variable, as far as it is known."""
        owners = [one for one in _enclosing(frame.f_code) if name in self.variables.get(one, ())]
        if not owners:
            return None
        owner = owners[0]
        if self.calls[owner] == 0:
            return owner, 0
        caller: FrameType | None = frame
        for _ in range(FRAMES_MAX):
            if caller is None:
                break
            if _function(caller.f_code) == owner:
                return owner, self.numbers.get(id(caller), -1)
            caller = caller.f_back
        return owner, -1


def _function(code: CodeType) -> tuple[str, str]:
    return code.co_filename, code.co_qualname


def _enclosing(code: CodeType) -> Iterator[tuple[str, str]]:
    """The function and those in which it is defined, from the inside."""
    name = code.co_qualname
    while name:
        yield code.co_filename, name
        name = name.rpartition(".<locals>.")[0]
