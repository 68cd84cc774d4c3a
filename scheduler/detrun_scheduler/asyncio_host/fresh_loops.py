"""The attributes that a new event loop begins with, read off one loop of asyncio's.

asyncio's ``__init__`` goes through three classes and takes a twentieth of a small run. So one loop, the model, is made
when this module is imported. A new loop gets a copy of the model's numbers at once. It gets collections of the model's
types when something asks for them, as few programs do.
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
        self._closed = True  # nothing is open, and nothing is told of its end


_MODEL = vars(_Model())
_CONSTANTS = {name: value for name, value in _MODEL.items() if value is None or type(value) in (bool, float, int)}
_CONSTANTS["_closed"] = False
_OWN_COLLECTIONS = {"_asyncgens": OrderedWeakSet, "subprocesses": OrderedWeakSet}
_COLLECTIONS = {name: type(value) for name, value in _MODEL.items() if hasattr(value, "__len__")} | _OWN_COLLECTIONS
_WATCHER = "_watcher"  # of child processes; each loop of Python 3.14 has one
_OTHERS = _MODEL.keys() - _COLLECTIONS.keys() - _CONSTANTS.keys() - {"_selector", _WATCHER}
assert not _OTHERS, _OTHERS


def _making(kind: type) -> Callable[[Any], Any]:
    return lambda loop: kind()


_MADE_LATE = {name: _making(kind) for name, kind in _COLLECTIONS.items()} | {"_selector": SimulatedSelector}
if _WATCHER in _MODEL:
    _MADE_LATE[_WATCHER] = lambda loop: THREADED_WATCHER()  # asyncio's may wait for the operating system


class FreshLoop:
    """A base class of loops: makes those of asyncio's attributes that something asks for."""

    def __getattr__(self, name: str) -> Any:
        if name not in _MADE_LATE:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        made = vars(self)[name] = _MADE_LATE[name](self)
        return made


def beginning(own: dict[str, Any]) -> dict[str, Any]:
    """What a new loop's attributes are a copy of: asyncio's, and those that the simulated loop has beside them.

    A copy of a dictionary with all names in it is made at once; one that is filled grows three times.
    """
    return {**_CONSTANTS, **own}
