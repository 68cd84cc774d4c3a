"""Cells of closure variables: which one an instruction accesses, so that those of two calls of a function are two.

An instruction names its variable. The cell is held by the function object, which a frame does not show: it is looked
for where the caller has it from (`symbolic_execution.callees_of`), and counts if it runs the frame's code. In the
function that owns the variable, the cell is that of a function which it has made and holds in a variable of its own;
before it makes one, no other task can have the cell.

The rule: a cell that is not found may be any of its variable, so such an access is one of all cells of the variable
that were found before, and every later one touches what it touched. Nothing is missed; two calls of which one is not
found are taken for one, as far as it goes.
"""

from __future__ import annotations

import dis
from collections.abc import Hashable
from functools import partial
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any

from detrun_scheduler.environment.addresses import address_of
from detrun_scheduler.footprints.recipes import MISSING, follow
from detrun_scheduler.footprints.symbolic_execution import callees_of

CACHES_MAX = 12  # entries behind a call, to the last of which its frame may point

Variable = tuple[str, str, str]
"""The file, the outermost function, and the name of a closure variable."""

_INNER = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")  # called where they are made
_first_made: dict[CodeType, dict[str, int]] = {}


class Cells:
    """The cells that accesses of one run have found."""

    def __init__(self) -> None:
        self.found: dict[Variable, dict[Hashable, None]] = {}
        self.unknown: set[Variable] = set()  # of which some access found no cell

    def keys(self, variable: Variable, label: str) -> list[Hashable]:
        """What an access touches.

        Args:
            label: of the cell, empty if it was not found.
        """
        found = self.found.setdefault(variable, {})
        if not label:
            self.unknown.add(variable)
            return [variable, *found]
        key = (*variable, label)
        found[key] = None
        return [key, variable] if variable in self.unknown else [key]


def is_unshared(code: CodeType, name: str, offset: int) -> bool:
    """Whether an instruction of the function that owns a variable comes before any function that could share it."""
    if name not in code.co_cellvars:
        return False
    made = _first_made.setdefault(code, {})
    if name not in made:
        made[name] = _making(code, name)
    return offset < made[name]


def _making(code: CodeType, name: str) -> int:
    """Before which offset no inner function has the variable: where the first is made, or a loop leads back to."""
    instructions = list(dis.get_instructions(code))
    first = min((one.offset for one in instructions if _passes_on(one, name)), default=len(code.co_code))
    back: list[int] = [one.argval for one in instructions if "BACKWARD" in one.opname and one.offset > first]
    return min([first, *back])


def _passes_on(instruction: dis.Instruction, name: str) -> bool:
    return instruction.argval == name and (
        instruction.opname == "LOAD_CLOSURE" or instruction.opname.startswith("LOAD_FAST")
    )


def cell_of(frame: FrameType, name: str) -> Any:
    """The cell of a closure variable of the function in ``frame``, or `MISSING`."""
    code, caller = frame.f_code, frame.f_back
    if name in code.co_cellvars:
        return _made_in(frame, name)
    if name not in code.co_freevars or caller is None:
        return MISSING
    if code.co_name in _INNER and name in (*caller.f_code.co_cellvars, *caller.f_code.co_freevars):
        return cell_of(caller, name)
    function = _called(caller)
    if function is None or function.__code__ is not code or function.__closure__ is None:
        return MISSING
    return function.__closure__[code.co_freevars.index(name)]


def _called(caller: FrameType) -> FunctionType | None:
    callees = callees_of(caller.f_code)
    for offset in range(caller.f_lasti, caller.f_lasti - 2 * CACHES_MAX, -2):
        if offset in callees:
            return _function(follow(callees[offset], caller))
    return None


def _function(thing: Any) -> FunctionType | None:
    while isinstance(thing, partial | MethodType):
        thing = thing.func if isinstance(thing, partial) else thing.__func__
    return thing if type(thing) is FunctionType else None


def _made_in(frame: FrameType, name: str) -> Any:
    """The cell of a function that the one in ``frame`` has made."""
    cells = {}
    for value in frame.f_locals.values():
        function = _function(value)
        if function is not None and function.__code__ in frame.f_code.co_consts and function.__closure__ is not None:
            names = function.__code__.co_freevars
            if name in names:
                cell = function.__closure__[names.index(name)]
                cells[address_of(cell)] = cell
    # More than one: a function that another call of this one has made is among the variables.
    return next(iter(cells.values())) if len(cells) == 1 else MISSING
