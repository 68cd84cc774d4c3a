"""Methods of types written in C, replaced during a run: those types refuse the assignment of attributes.

A subclass put in the type's place misses every name that was bound to the type before, and whatever C code makes. So
the entries are replaced in the type's own dictionary: one type before, during and after. The dictionary behind the
read-only view is what the garbage collector says the view refers to, and ``PyType_Modified`` (public C API) drops the
interpreter's caches of the old entry. This is the technique of the forbiddenfruit package. Where it does not hold (not
CPython, or a CPython that changed) nothing is replaced; `ReplacedEntries.is_supported` says so.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Mapping
from typing import Any

from detrun_scheduler.environment.staying import STAYING

if sys.implementation.name == "cpython":
    _type_modified = ctypes.pythonapi.PyType_Modified
    _type_modified.argtypes = [ctypes.py_object]
    _type_modified.restype = None


def _namespace_of_type(owner: type) -> dict[str, Any] | None:
    """The live dictionary of a type, or None unless it is recognizably that."""
    if sys.implementation.name != "cpython":
        return None
    referents = gc.get_referents(vars(owner))
    if len(referents) != 1 or type(referents[0]) is not dict:
        return None
    namespace: dict[str, Any] = referents[0]
    return namespace if all(namespace.get(name) is found for name, found in vars(owner).items()) else None


class ReplacedEntries:
    """Entries of the dictionary of one type that are replaced together. One per type and process; 1 µs to install."""

    __slots__ = ("_namespace", "_owner", "_replacements", "originals", "stays")

    def __init__(self, owner: type, replacements: Mapping[str, Any]) -> None:
        self._owner = owner
        self._namespace = _namespace_of_type(owner)
        # A name that this Python lacks stays absent.
        self._replacements = {name: value for name, value in replacements.items() if name in vars(owner)}
        self.originals: dict[str, Any] = {name: vars(owner)[name] for name in self._replacements}
        self.stays = False

    @property
    def is_supported(self) -> bool:
        """Whether anything will be replaced."""
        return self._namespace is not None

    def install(self) -> None:
        """Replace the entries."""
        if not self.stays:
            self._put(self._replacements)
            if STAYING.campaigns:
                self.stays = True
                STAYING.add(self)

    def restore(self) -> None:
        """Put the original entries back, or leave that to the end of the campaign."""
        if not self.stays:
            self._put(self.originals)

    def leave(self) -> None:
        """Put the original entries back after the last run of a campaign."""
        self.stays = False
        self._put(self.originals)

    def _put(self, entries: dict[str, Any]) -> None:
        if self._namespace is not None:
            self._namespace.update(entries)
            _type_modified(self._owner)
