"""Uncaught exceptions of threads, as failures of the run.

In life it is printed and the program goes on, and a test passes that should not. With ``thread_errors`` a run that
would have ended well ends with the first such exception; one that ends with an exception of its own has a note of it,
since what the thread did not do is often why. A program that puts in a `threading.excepthook` of its own during the run
has looked after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import outcome

from detrun_scheduler.errors import DetrunError
from detrun_scheduler.reports.blocking import ended_thread
from detrun_scheduler.run import ThreadFailure


def with_thread_errors(failures: Sequence[ThreadFailure], ended: outcome.Outcome[Any]) -> outcome.Outcome[Any]:
    """How the run has ended, what came out of its threads considered."""
    unhandled = [one for one in failures if not one.is_handled]
    if not unhandled:
        return ended
    if isinstance(ended, outcome.Value):
        first = unhandled[0]
        first.error.add_note(f"came out of {first.origin}, where it was not caught")
        ended, unhandled = outcome.Error(first.error), unhandled[1:]
    assert isinstance(ended, outcome.Error)
    # A deadlock's report has them already.
    for one in () if isinstance(ended.error, DetrunError) else unhandled:
        ended.error.add_note("\n".join(ended_thread(one)))
    return ended
