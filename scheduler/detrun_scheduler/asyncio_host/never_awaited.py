"""Coroutines that were never awaited, noted as failures of the run in which they were dropped.

The interpreter finds such a coroutine when it frees it, and calls `warnings`. During a run the function below takes
that call. The collector of cycles is off in a run, so a coroutine is freed where its last reference goes, which is the
same step in every replay. A coroutine that lies in a cycle is freed after the run, and only warned of, as in life.
"""

from __future__ import annotations

import sys
import warnings
from os.path import basename
from types import FrameType
from typing import Any

from detrun_scheduler.environment.replaced_names import ReplacedNames
from detrun_scheduler.errors import Finding
from detrun_scheduler.run import ThreadFailure
from detrun_scheduler.threads.calling import threads_of_call
from detrun_scheduler.user_code import is_user_file

_SINCE = 9  # of the rules for threads: the message, which the digest of a run has, says where a coroutine was dropped


class NeverAwaitedWarning(Finding):
    """A coroutine was called and never awaited, so none of its code has run."""


def _warn(coroutine: Any) -> None:
    threads = threads_of_call()
    run: Any = None if threads is None else threads.run
    if run is not None and run.asyncio is not None and run.failure is None:
        code, place = coroutine.cr_code, _running_line()
        dropped = ""
        if place is not None and run.thread_rules >= _SINCE:
            dropped = f", and dropped at {basename(place[0])}:{place[1]}"
        error = NeverAwaitedWarning(
            f"coroutine {coroutine.__qualname__!r} was never awaited ({basename(code.co_filename)}:"
            f"{code.co_firstlineno}){dropped}; await it, or make a task of it and keep that"
        )
        error.place = place
        run.thread_failures.append(ThreadFailure(run.path_of(run.current), error, False, "a call in"))
        if run.reports_thread_errors:
            return
    NAMES.originals["_warn_unawaited_coroutine"](coroutine)


def _running_line() -> tuple[str, int] | None:
    """File and line of the innermost user code that runs."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and not is_user_file(frame.f_code.co_filename):
        frame = frame.f_back
    return None if frame is None else (frame.f_code.co_filename, frame.f_lineno)


NAMES = ReplacedNames(warnings, {"_warn_unawaited_coroutine": _warn}, may_stay=True)
