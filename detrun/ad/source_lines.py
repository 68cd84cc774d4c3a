"""Whose code is on the stack: the user's line that caused an operation on a `Value`.

Frames are of three kinds. The standard library is *looked through*: ``statistics.mean(values)`` belongs to the line that
called it. *Machinery* (trio, greenlet and detrun itself) ends the search without a line: when trio asks
``math.isnan(deadline)`` no user detached anything. Every other frame is the *user's*.
"""

from __future__ import annotations

import os
import sys
from types import FrameType

Place = tuple[str, int]

_MACHINERY_PACKAGES = frozenset({"detrun", "detrun_scheduler", "detrun_recorder", "trio", "outcome", "greenlet"})
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_INSTALLED = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)

_USER, _LOOKED_THROUGH, _MACHINERY = range(3)
_kind_of_file: dict[str, int] = {}  # bounded by the number of source files; says nothing about any one run


def _classify(frame: FrameType) -> int:
    file_name = frame.f_code.co_filename
    module_name = str(frame.f_globals.get("__name__", ""))
    if module_name.partition(".")[0] in _MACHINERY_PACKAGES:
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


def calling_line(depth: int) -> Place | None:
    """The user's line that reached the function ``depth`` frames up, or ``None`` if machinery called it."""
    frame: FrameType | None = sys._getframe(depth + 1)
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


def nearest_user_line(depth: int = 1) -> Place | None:
    """The nearest user's line up the stack, whoever lies between. For operations that detrun performs for the user."""
    frame: FrameType | None = sys._getframe(depth)
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
