"""Signatures of failures: two failures are of one kind if their exception types and the places that raised them agree.

The place is the innermost line of user code in the traceback; a group is the set of its members. The traceback of a
deadlock, a livelock or a data race does not say what it is about: two deadlocks are the same if the tasks of their
cycles wait at the same lines for the same kinds of objects (without a cycle: all blocked tasks, apart from those that
wait for their children), two data races if the first was on the same variable.

A signature names no task, no step, no time and no address, and files from the root of their package on. So it is the
same in every schedule, process and checkout, and can be written down to be passed over: `FailurePolicy`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

from detrun.races.detector import DataRaceError
from detrun_scheduler.errors import DeadlockError, Finding, StepLimitError
from detrun_scheduler.user_code import is_user_file

Signature = tuple[str, ...]

_KIND = re.compile(r"the event loop|[\w.]+")
_CHILDREN = "the end of its nursery"
SEPARATOR = " + "


def signature_of(error: BaseException) -> Signature:
    """What failed, and where; the parts in ascending order."""
    if isinstance(error, BaseExceptionGroup):
        return tuple(sorted({part for one in error.exceptions for part in signature_of(one)}))
    name = type(error).__qualname__
    if isinstance(error, DeadlockError):
        return (f"{name} of {', '.join(_waits(error))}" if error.blocked else name,)
    if isinstance(error, DataRaceError):
        return (f"{name} on {error.races[0].variable}",)
    if isinstance(error, StepLimitError):
        return (name,)
    return (f"{name} at {place_of(error)}",)


def place_of(error: BaseException) -> str:
    """``file:line`` of the innermost user code that the exception passed, or that it is about; or an empty string."""
    found = ""
    if isinstance(error, Finding) and error.place is not None:
        found = f"{file_in_package(error.place[0])}:{error.place[1]}"
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if is_user_file(code.co_filename):
            found = f"{file_in_package(code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


@lru_cache(maxsize=1024)
def file_in_package(name: str) -> str:
    """A file's path from the root of its package on: its name alone outside packages."""
    path = Path(name)
    parts = [path.name]
    for directory in path.parents:
        if not (directory / "__init__.py").is_file():
            break
        parts.append(directory.name)
    return "/".join(reversed(parts))


def _waits(error: DeadlockError) -> list[str]:
    """What the tasks of a deadlock wait for, and where, without repetitions, in ascending order."""
    cycle = set(error.cycle)
    blocked = [one for one in error.blocked if one.path in cycle] or list(error.blocked)
    found = {_wait(one) for one in blocked if not one.waits_for.startswith(_CHILDREN)}
    return sorted(found or {_wait(one) for one in blocked})


def _wait(blocked: Any) -> str:
    kind = _KIND.match(blocked.waits_for)
    waits = _CHILDREN if blocked.waits_for.startswith(_CHILDREN) else kind[0] if kind is not None else "a wait"
    if not blocked.stack:
        return waits
    place = blocked.stack[-1].partition(" in ")[0]
    file, _, line = place.rpartition(":")
    return f"{waits} at {file_in_package(file)}:{line}"


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """Which failures end a campaign.

    Attributes:
        keep_going: none; they are counted by kind.
        ignore: signatures of failures that are known, or shell patterns of them (``ValueError at bank.py:*``): they are
            counted and passed over. A group of failures is known if every one of it is.
    """

    keep_going: bool = False
    ignore: tuple[str, ...] = ()

    def ignores(self, signature: str) -> bool:
        """Whether a failure of this kind is passed over."""
        if not self.ignore or signature in self.ignore:
            return bool(self.ignore)
        parts = signature.split(SEPARATOR)
        return all(any(part == one or fnmatchcase(part, one) for one in self.ignore) for part in parts)


def text_of_signature(signature: Signature) -> str:
    """A signature in one line, as reports and ``ignore`` spell it."""
    return SEPARATOR.join(signature)
