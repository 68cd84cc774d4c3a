"""``datetime.now``, ``utcnow`` and ``today`` during a run.

They are methods of C types, which refuse attribute assignment. The usual answer, replacing ``datetime.datetime`` in its
module by a subclass (freezegun), misses every ``from datetime import datetime`` made before the run, which is how most
programs import it, and breaks pickling and ``type(x) is datetime`` while it lasts. So the entries are replaced in the
types' own dictionaries: one type before, during and after, and every import form is reached.

The dictionary behind a type's read-only view is what the garbage collector says the view refers to, and
``PyType_Modified`` (public C API) drops the interpreter's caches of the old entry. This is the technique of the
forbiddenfruit package. Where it does not hold (not CPython, or a CPython that changed) nothing is replaced, and
``datetime.now`` reads the real clock: `SUPPORTED` says which.

The local time zone stays the machine's.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime, tzinfo
from typing import Any


def _type_namespace(owner: type, names: tuple[str, ...]) -> dict[str, Any] | None:
    """The live dictionary of a type, or None unless it is recognizably that."""
    referents = gc.get_referents(vars(owner))
    if len(referents) != 1 or type(referents[0]) is not dict:
        return None
    namespace: dict[str, Any] = referents[0]
    return namespace if all(namespace.get(name) is vars(owner)[name] for name in names) else None


_DATE_NAMES = ("today",)
_DATETIME_NAMES = ("now", "utcnow")
_date_namespace: dict[str, Any] | None = None
_datetime_namespace: dict[str, Any] | None = None
if sys.implementation.name == "cpython":
    _date_namespace = _type_namespace(date, _DATE_NAMES)
    _datetime_namespace = _type_namespace(datetime, _DATETIME_NAMES)
    _type_modified = ctypes.pythonapi.PyType_Modified
    _type_modified.argtypes = [ctypes.py_object]
    _type_modified.restype = None

SUPPORTED = _date_namespace is not None and _datetime_namespace is not None


class ReplacedDatetime:
    """The three methods, answering from ``wall_seconds`` where it is not None. One per process; 1 µs to install."""

    __slots__ = ("_replacements",)

    def __init__(self, wall_seconds: Callable[[], float | None]) -> None:
        self._replacements = _replacements(wall_seconds)

    def install(self) -> None:
        """Replace the methods. The caller makes sure that they are not replaced already."""
        self._put(self._replacements)

    def restore(self) -> None:
        """Put the original methods back."""
        self._put(_ORIGINALS)

    def _put(self, methods: dict[str, Any]) -> None:
        if _date_namespace is None or _datetime_namespace is None:
            return
        for name in _DATE_NAMES:
            _date_namespace[name] = methods[name]
        for name in _DATETIME_NAMES:
            _datetime_namespace[name] = methods[name]
        # datetime is a subclass of date, so this invalidates both.
        _type_modified(date)


_ORIGINALS: dict[str, Any] = {
    **{name: vars(date)[name] for name in _DATE_NAMES},
    **{name: vars(datetime)[name] for name in _DATETIME_NAMES},
}


def _replacements(wall_seconds: Callable[[], float | None]) -> dict[str, Any]:
    def now(cls: type[datetime], tz: tzinfo | None = None) -> datetime:
        seconds = wall_seconds()
        if seconds is None:
            return _ORIGINALS["now"].__get__(None, cls)(tz)  # type: ignore[no-any-return]
        return cls.fromtimestamp(seconds, tz)

    def utcnow(cls: type[datetime]) -> datetime:
        seconds = wall_seconds()
        if seconds is None:
            return _ORIGINALS["utcnow"].__get__(None, cls)()  # type: ignore[no-any-return]
        if sys.version_info >= (3, 12):
            warnings.warn(
                "datetime.datetime.utcnow() is deprecated; use datetime.datetime.now(datetime.UTC)",
                DeprecationWarning,
                stacklevel=2,
            )
        return cls.fromtimestamp(seconds, UTC).replace(tzinfo=None)

    def today(cls: type[date]) -> date:
        seconds = wall_seconds()
        if seconds is None:
            return _ORIGINALS["today"].__get__(None, cls)()  # type: ignore[no-any-return]
        return cls.fromtimestamp(seconds)

    return {"now": classmethod(now), "utcnow": classmethod(utcnow), "today": classmethod(today)}
