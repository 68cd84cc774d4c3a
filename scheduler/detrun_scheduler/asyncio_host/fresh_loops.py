"""What an event loop of asyncio's begins with: seen once, and given to each loop of a run.

asyncio's ``__init__`` goes through three classes, and is a twentieth of a small run. So a model is made when this
module is imported, and a new loop gets the model's numbers, and new collections of the model's types.
"""

from __future__ import annotations

import asyncio
from typing import Any

from detrun_scheduler.asyncio_host.outside import Outside
from detrun_scheduler.asyncio_host.private import THREADED_WATCHER
from detrun_scheduler.asyncio_host.readiness import SimulatedSelector

SELECTOR_LOOP: Any = asyncio.SelectorEventLoop


class _Model(Outside, SELECTOR_LOOP):  # type: ignore[misc]  # Any: stubs leave private names out
    """An event loop of which only the attributes count."""

    def __init__(self) -> None:
        super().__init__(SimulatedSelector(self))
        self._closed = True  # nothing is open, and its end is no news


class MadeLate:
    """A collection of a loop that is made when something asks for it, as few programs do: an attribute of its class."""

    __slots__ = ("_kind", "_name")

    def __init__(self, kind: type) -> None:
        self._kind = kind

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, loop: Any, owner: type | None = None) -> Any:
        if loop is None:
            return self
        made = vars(loop)[self._name] = self._kind()
        return made


_MADE_LATE = ("_asyncgens", "_transports")
_MODEL = vars(_Model())
_COLLECTIONS = {
    name: type(value) for name, value in _MODEL.items() if hasattr(value, "__len__") and name not in _MADE_LATE
}
_CONSTANTS = {name: value for name, value in _MODEL.items() if value is None or type(value) in (bool, float, int)}
_CONSTANTS["_closed"] = False
_WATCHER = "_watcher"  # of child processes; each loop of Python 3.14 has one
_OTHERS = _MODEL.keys() - _COLLECTIONS.keys() - _CONSTANTS.keys() - {"_selector", _WATCHER, *_MADE_LATE}
assert not _OTHERS, _OTHERS


def beginning(own: dict[str, Any]) -> dict[str, Any]:
    """What `become_new` copies: asyncio's attributes, and those that the simulated loop has beside them.

    A copy of a dictionary with all names in it is made at once; one that is filled grows three times.
    """
    return {**_CONSTANTS, **dict.fromkeys(_COLLECTIONS), "_selector": None, **own}


def become_new(loop: Any, begins_with: dict[str, Any]) -> None:
    """Do what asyncio's ``__init__`` does, but for the debug mode."""
    loop.__dict__ = attributes = begins_with.copy()
    for name, kind in _COLLECTIONS.items():
        attributes[name] = kind()
    attributes["_selector"] = SimulatedSelector(loop)
    if _WATCHER in _MODEL:
        attributes[_WATCHER] = THREADED_WATCHER()  # asyncio's may wait for the operating system
