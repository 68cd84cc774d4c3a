"""What an event loop of asyncio's begins with: seen once, and given to each loop of a run.

asyncio's ``__init__`` goes through three classes, and is a twentieth of a small run. So a model is made when this
module is imported; a new loop gets the model's numbers at once, and new collections of the model's types when something
asks for them, as few programs do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from detrun_scheduler.asyncio_host.outside import Outside
from detrun_scheduler.asyncio_host.private import THREADED_WATCHER
from detrun_scheduler.asyncio_host.readiness import SimulatedSelector
from detrun_scheduler.trio_host.ordered import OrderedWeakSet

SELECTOR_LOOP: Any = asyncio.SelectorEventLoop


class _Model(Outside, SELECTOR_LOOP):  # type: ignore[misc]  # Any: stubs leave private names out
    """An event loop of which only the attributes count."""

    def __init__(self) -> None:
        super().__init__(SimulatedSelector(self))
        self._closed = True  # nothing is open, and its end is no news


class _MadeLate:
    """An attribute of a loop that is made when something asks for it; an attribute of its class."""

    __slots__ = ("_make", "_name")

    def __init__(self, name: str, make: Callable[[Any], Any]) -> None:
        self._name = name
        self._make = make

    def __get__(self, loop: Any, owner: type | None = None) -> Any:
        if loop is None:
            return self
        made = vars(loop)[self._name] = self._make(loop)
        return made


_MODEL = vars(_Model())
_CONSTANTS = {name: value for name, value in _MODEL.items() if value is None or type(value) in (bool, float, int)}
_CONSTANTS["_closed"] = False
_OWN_COLLECTIONS = {"_asyncgens": OrderedWeakSet, "subprocesses": OrderedWeakSet}
_COLLECTIONS = {name: type(value) for name, value in _MODEL.items() if hasattr(value, "__len__")} | _OWN_COLLECTIONS
_WATCHER = "_watcher"  # of child processes; each loop of Python 3.14 has one
_OTHERS = _MODEL.keys() - _COLLECTIONS.keys() - _CONSTANTS.keys() - {"_selector", _WATCHER}
assert not _OTHERS, _OTHERS


class FreshLoop:
    """A base class of loops: what their classes have of asyncio's attributes, which an instance makes when asked."""


def _making(kind: type) -> Callable[[Any], Any]:
    return lambda loop: kind()


for _name, _kind in _COLLECTIONS.items():
    setattr(FreshLoop, _name, _MadeLate(_name, _making(_kind)))
setattr(FreshLoop, "_selector", _MadeLate("_selector", SimulatedSelector))  # noqa: B010
if _WATCHER in _MODEL:
    # asyncio's may wait for the operating system.
    setattr(FreshLoop, _WATCHER, _MadeLate(_WATCHER, lambda loop: THREADED_WATCHER()))


def beginning(own: dict[str, Any]) -> dict[str, Any]:
    """What a new loop's attributes are a copy of: asyncio's, and those that the simulated loop has beside them.

    A copy of a dictionary with all names in it is made at once; one that is filled grows three times.
    """
    return {**_CONSTANTS, **own}
