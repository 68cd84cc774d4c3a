"""Signatures of failures: two failures are the same if their exception types and the places that raised them are equal.

The place is the innermost line of user code in the traceback; a group is the set of its members. The traceback of a
deadlock, a livelock or a data race does not say what it is about: two deadlocks are the same if the same tasks are
blocked in the same ways, two data races if the first was on the same variable.
"""

from __future__ import annotations

import re
from types import TracebackType

from detrun.races.detector import DataRaceError
from detrun_scheduler.errors import DeadlockError, StepLimitError
from detrun_scheduler.user_code import is_user_file

Signature = tuple[str, ...]

_VARYING = re.compile(r"at step \d+(?:, virtual time \S+ s)?|task \d+ ")


def signature_of(error: BaseException) -> Signature:
    """What failed, and where."""
    if isinstance(error, BaseExceptionGroup):
        return tuple(sorted({part for one in error.exceptions for part in signature_of(one)}))
    name = type(error).__qualname__
    if isinstance(error, DeadlockError):
        return (f"{name} {_VARYING.sub('', str(error))}",)
    if isinstance(error, DataRaceError):
        return (f"{name} on {error.races[0].variable}",)
    if isinstance(error, StepLimitError):
        return (name,)
    return (f"{name} at {place_of(error)}",)


def place_of(error: BaseException) -> str:
    """``file:line`` of the innermost user code that the exception passed, or an empty string."""
    found = ""
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if is_user_file(code.co_filename):
            found = f"{code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
