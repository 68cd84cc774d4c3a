"""Whose code is on the stack: the user's line that caused an operation on a `Value`.

Frames are of three kinds. The standard library and this package are *looked through*: ``statistics.mean(values)``
belongs to the line that called it. *Machinery* (trio, greenlet and the rest of detrun) ends the search without a line:
when trio asks ``math.isnan(deadline)`` no user detached anything. Every other frame is the *user's*.
"""

from __future__ import annotations

import os
import sys
from types import FrameType

Place = tuple[str, int]

_MACHINERY_PACKAGES = frozenset({"detrun", "detrun_scheduler", "detrun_recorder", "trio", "outcome", "greenlet"})
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_AD_CORE = os.path.dirname(__file__) + os.sep
_INSTALLED = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)

_USER, _LOOKED_THROUGH, _MACHINERY = range(3)
_kind_of_file: dict[str, int] = {}  # bounded by the number of source files; says nothing about any one run


def _classify(frame: FrameType) -> int:
    file_name = frame.f_code.co_filename
    module_name = str(frame.f_globals.get("__name__", ""))
    if file_name.startswith(_AD_CORE):
        kind = _LOOKED_THROUGH
    elif module_name.partition(".")[0] in _MACHINERY_PACKAGES:
        kind = _MACHINERY
    elif file_name.startswith("<frozen ") or (
        file_name.startswith(_STANDARD_LIBRARY) and not any(part in file_name for part in _INSTALLED)
    ):
        kind = _LOOKED_THROUGH
    else:
        kind = _USER
    # "<string>" and the like are shared by many owners, so only real files are remembered.
    if not file_name.startswith("<"):
        _kind_of_file[file_name] = kind
    return kind


def calling_line() -> Place | None:
    """The user's line that asked for an operation, or ``None`` if machinery did."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        kind = _kind_of_file.get(frame.f_code.co_filename)
        if kind is None:
            kind = _classify(frame)
        if kind == _USER:
            return frame.f_code.co_filename, frame.f_lineno
        if kind == _MACHINERY:
            return None
        frame = frame.f_back
    return None


def nearest_user_line() -> Place | None:
    """The nearest user's line up the stack, whoever lies between. For operations that detrun performs for the user."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        kind = _kind_of_file.get(frame.f_code.co_filename)
        if kind is None:
            kind = _classify(frame)
        if kind == _USER:
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


def shown(place: Place | None) -> str:
    """``file:line`` for messages."""
    return "an unknown line" if place is None else f"{place[0]}:{place[1]}"
