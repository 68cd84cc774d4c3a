"""Coroutines that were never awaited, noted as failures of the run in which they were dropped.

The interpreter finds such a coroutine when it frees it, and calls `warnings`. During a run the function below takes
that call. The collector of cycles is off in a run, so a coroutine is freed where its last reference goes, which is the
same step in every replay. A coroutine that lies in a cycle is freed after the run, and only warned of, as in life.
"""

from __future__ import annotations

import warnings
from os.path import basename
from typing import Any

from detrun_scheduler.environment.replaced_names import ReplacedNames
from detrun_scheduler.run import ThreadFailure
from detrun_scheduler.threads.calling import threads_of_call


class NeverAwaitedWarning(RuntimeWarning):
    """A coroutine was called and never awaited, so none of its code has run."""


def _warn(coroutine: Any) -> None:
    threads = threads_of_call()
    run: Any = None if threads is None else threads.run
    if run is not None and run.asyncio is not None and run.failure is None:
        code = coroutine.cr_code
        error = NeverAwaitedWarning(
            f"coroutine {coroutine.__qualname__!r} was never awaited ({basename(code.co_filename)}:"
            f"{code.co_firstlineno}); await it, or make a task of it and keep that"
        )
        run.thread_failures.append(ThreadFailure(run.path_of(run.current), error, False, "a call in"))
        if run.reports_thread_errors:
            return
    NAMES.originals["_warn_unawaited_coroutine"](coroutine)


NAMES = ReplacedNames(warnings, {"_warn_unawaited_coroutine": _warn}, may_stay=True)
