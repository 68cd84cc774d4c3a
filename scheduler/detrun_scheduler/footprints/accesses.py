"""Reads and writes of ordinary attributes and elements by watched code, for race reports and for DPOR.

What an instruction touches is found out beforehand (`symbolic_execution`): an access whose object is a local variable,
a global, or reached from one through attributes (``self.account.balance``, ``table[key]``) has a recipe for finding it
again. When the instruction is about to run, the recipe is followed with static lookups, which run no code of the
program.

What is seen: loads, stores and deletions of instance attributes, elements of built-in lists and dictionaries, globals
that stand for data, and closure variables. What is not: objects that come out of calls or operators (``f().x``), what C
code does inside (``list.append``, ``sort``), and slots of properties. A chain is followed when its last link is
accessed; if another thread has re-bound an earlier link in the meantime, the new object is named. `contents.py` sees
what the methods of built-in containers do.
"""

from __future__ import annotations

from collections.abc import Hashable
from inspect import CO_OPTIMIZED
from types import FrameType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any, Protocol

from detrun_scheduler.environment.addresses import address_of
from detrun_scheduler.footprints.cells import Cells, cell_of, is_unshared
from detrun_scheduler.footprints.recipes import MISSING, follow, instance_of
from detrun_scheduler.footprints.symbolic_execution import Access, Recipe, accesses_of


class AccessListener(Protocol):
    """What race detection implements; called in the step that makes the access, just before it takes effect."""

    def access(self, key: Hashable, label: str, is_write: bool, line: str) -> None:
        """The running task is about to read or write a place.

        Args:
            key: the same for the same place throughout the run, and in other runs that find objects in the same order.
            label: what reports call the place: ``Account[0].balance``, ``table['x']``, ``Account[0].entries[2]``.
            is_write: whether it writes.
            line: ``file:line`` of the access.
        """


class AccessObserver:
    """Finds what instructions access and tells a listener. One for each run: it numbers the objects of the run.

    Args:
        tells_cells_apart: closure variables of two calls of a function are two; False: they are one, and no object with
            a number.
    """

    def __init__(self, listener: AccessListener, tells_cells_apart: bool = True) -> None:
        self.listener = listener
        self.tells_cells_apart = tells_cells_apart
        self.objects: dict[int, tuple[Any, str]] = {}  # by address: the object, which keeps it taken, and its label
        self.counts: dict[str, int] = {}
        self.cells = Cells()
        self.shown: dict[str, str] = {}  # by label of a list or dictionary: what the code calls that reached it first

    def about_to_run(self, frame: FrameType, offset: int) -> None:
        """The instruction at ``offset`` of the function in ``frame`` comes next."""
        access = accesses_of(frame.f_code).get(offset)
        if access is None:
            return
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        if access.kind == "global":
            if not frame.f_code.co_flags & CO_OPTIMIZED and frame.f_locals is not frame.f_globals:
                return  # a name of a class that is being made
            name = access.name[1]  # type: ignore[index]
            module = frame.f_globals.get("__name__", "?")
            self.listener.access((module, name), f"{module}.{name}", access.is_write, where)
            return
        if access.kind == "closure":
            self._closure(frame, offset, access, where)
            return
        owner, name = follow(access.owner, frame), follow(access.name, frame)
        if owner is MISSING or name is MISSING:
            return
        if access.kind == "attribute":
            if not isinstance(name, str) or not holds_data(owner, name):
                return
            self._attribute(owner, name, access.is_write, where)
        elif type(owner) in (list, dict):
            try:
                hash(name)
            except TypeError:
                return
            instance = instance_of(access.owner, frame)
            if instance is not MISSING and type(name) is str:
                self._attribute(instance, name, access.is_write, where)
                return
            label = self.label_of(owner)
            shown = self.shown_as(label, access.owner, frame)
            self.listener.access((label, stable(name)), f"{shown}[{stable(name)}]", access.is_write, where)

    def _attribute(self, owner: Any, name: str, is_write: bool, where: str) -> None:
        label = self.label_of(owner)
        self.listener.access((label, name), f"{label}.{name}", is_write, where)

    def _closure(self, frame: FrameType, offset: int, access: Access, where: str) -> None:
        name = access.name[1]  # type: ignore[index]
        owner = frame.f_code.co_qualname.partition(".<locals>")[0]
        if not self.tells_cells_apart:
            variable = frame.f_code.co_filename, owner, name
            self.listener.access(variable, f"{owner}'s {name}", access.is_write, where)
            return
        if is_unshared(frame.f_code, name, offset):
            return
        cell = cell_of(frame, name)
        label = "" if cell is MISSING else self.label_of(cell)
        for key in self.cells.keys((frame.f_code.co_filename, owner, name), label):
            self.listener.access(key, f"{owner}'s {name}", access.is_write, where)

    def label_of(self, owner: Any) -> str:
        """``Account[0]``: by class and order of first access."""
        found = self.objects.get(address_of(owner))
        if found is None:
            kind = owner.__name__ if isinstance(owner, type | ModuleType) else type(owner).__name__
            index = self.counts.get(kind, 0)
            self.counts[kind] = index + 1
            found = self.objects[address_of(owner)] = (owner, f"{kind}[{index}]")
        return found[1]

    def shown_as(self, label: str, recipe: Recipe, frame: FrameType) -> str:
        """What reports call a container: what the code that reached it first calls it."""
        shown = self.shown.get(label)
        if shown is None:
            shown = self.shown[label] = self._path_of(recipe, frame) or label
        return shown

    def _path_of(self, recipe: Recipe, frame: FrameType) -> str:
        """What the code that reaches a list or dictionary calls it, ``Account[0].entries``; empty if that says less."""
        match recipe:
            case ("local", name) | ("global", name):
                return str(name)
            case ("attribute", inner, name):
                owner = follow(inner, frame)
                return "" if owner is MISSING else f"{self.label_of(owner)}.{name}"
        return ""


def stable(name: Any) -> str:
    """A key in words that are the same in every run."""
    # A key of the program's own class may have a repr with an address, or one that runs code.
    return repr(name) if type(name) in (int, str, bytes, bool, float, type(None)) else type(name).__name__


def holds_data(owner: Any, name: str) -> bool:
    """Whether ``owner.name`` is a place that can be assigned, and not a method or a property."""
    if isinstance(owner, ModuleType):
        return not isinstance(vars(owner).get(name), FunctionType | type | ModuleType)
    for base in type(owner).__mro__:
        found = vars(base).get(name, MISSING)
        if found is not MISSING:
            kind = type(found)
            if kind is MemberDescriptorType:
                return True  # a slot
            if hasattr(kind, "__set__") or hasattr(kind, "__get__"):
                return name in getattr(owner, "__dict__", ())
            return True  # a default in the class
    return True
