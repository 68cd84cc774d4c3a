"""The user's line that caused an operation on a `Value`, found on the stack.

Frames are of three kinds. The standard library, numpy, torch and this package are *looked through*, and so are
`detrun.relaxed`, which decides for its caller, and what stands for the standard library's clocks in a run:
``statistics.fmean(values)`` belongs to the line that called it.
*Machinery* (trio, greenlet and the rest of detrun) ends the search without a line: when trio asks
``math.isnan(deadline)`` no user detached anything. Every other frame is the *user's*.
"""

from __future__ import annotations

import os
import sys
from types import CodeType, FrameType

from detrun_scheduler.environment.addresses import address_of

Place = tuple[str, int]

MACHINERY_PACKAGES = frozenset({"detrun", "detrun_scheduler", "detrun_recorder", "trio", "outcome", "greenlet"})
_LOOKED_THROUGH_PACKAGES = frozenset({"numpy", "torch"})
_LOOKED_THROUGH_MODULES = frozenset(
    {
        "detrun.relaxed",
        "detrun_scheduler.environment.virtual_time",
        "detrun_scheduler.environment.virtual_datetime",
    }
)
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_AD_CORE = os.path.dirname(__file__) + os.sep
_INSTALLED = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)

_USER, _LOOKED_THROUGH, _MACHINERY = range(3)
_CODES_MAX = 10_000


class _Code:
    """Facts about one code object. Holds it, so that its ``id`` stays its own while it is a key below."""

    __slots__ = ("code", "kind", "places")

    def __init__(self, code: CodeType, kind: int) -> None:
        self.code = code
        self.kind = kind
        self.places: dict[int, Place] = {}


# A cache of facts that no run can change. By id, since a code object hashes all its constants at each look-up; and by
# instruction, since ``f_lineno`` decodes the line table from its start (2 microseconds in a function of 200 lines).
_codes: dict[int, _Code] = {}


def _known(frame: FrameType) -> _Code:
    file_name = frame.f_code.co_filename
    module_name = str(frame.f_globals.get("__name__", ""))
    package = module_name.partition(".")[0]
    if file_name.startswith(_AD_CORE) or package in _LOOKED_THROUGH_PACKAGES or module_name in _LOOKED_THROUGH_MODULES:
        kind = _LOOKED_THROUGH
    elif package in MACHINERY_PACKAGES:
        kind = _MACHINERY
    elif file_name.startswith("<frozen ") or (
        file_name.startswith(_STANDARD_LIBRARY) and not any(part in file_name for part in _INSTALLED)
    ):
        kind = _LOOKED_THROUGH
    else:
        kind = _USER
    if len(_codes) >= _CODES_MAX:  # a program that makes code objects without end
        _codes.clear()
    known = _codes[address_of(frame.f_code)] = _Code(frame.f_code, kind)
    return known


def calling_line(depth: int = 1) -> Place | None:
    """The user's line that asked for an operation, or ``None`` if machinery did.

    ``depth`` says how many frames above the caller may be skipped unseen; frames of this package are looked through
    anyway, so it buys time only.
    """
    return _search(sys._getframe(depth + 1), stop_at_machinery=True)


def nearest_user_line() -> Place | None:
    """The nearest user's line up the stack, across machinery. For operations that detrun performs for the user."""
    return _search(sys._getframe(1), stop_at_machinery=False)


def _search(frame: FrameType | None, stop_at_machinery: bool) -> Place | None:
    while frame is not None:
        known = _codes.get(address_of(frame.f_code)) or _known(frame)
        if known.kind == _USER:
            place = known.places.get(frame.f_lasti)
            if place is None:
                place = known.places[frame.f_lasti] = (frame.f_code.co_filename, frame.f_lineno)
            return place
        if known.kind == _MACHINERY and stop_at_machinery:
            return None
        frame = frame.f_back
    return None


def shown(place: Place | None) -> str:
    """``file:line`` for messages."""
    return "an unknown line" if place is None else f"{place[0]}:{place[1]}"
