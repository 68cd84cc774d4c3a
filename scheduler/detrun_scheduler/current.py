"""The active run of this process: at most one, because a run owns the process's clock and randomness.

Everything that user code calls without naming a run (`Atomic.load`, `detrun.uniform`, a patched `time.time`) finds
it here. The attribute is read on hot paths, so it is a plain module global and not a function.
"""

from __future__ import annotations

from detrun_scheduler.errors import UsageError
from detrun_scheduler.run import ActiveRun

run: ActiveRun | None = None


def require(what: str) -> ActiveRun:
    """The active run, or a `UsageError` naming ``what`` was called outside one."""
    if run is None:
        raise UsageError(f"{what} was called outside a run; call it from a program started by detrun.record(...)")
    return run
