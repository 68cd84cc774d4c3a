"""`InconclusiveError`: a check or an exploration that had to come to a conclusion came to none."""

from __future__ import annotations

from detrun_scheduler.errors import DetrunError


class InconclusiveError(DetrunError):
    """No conclusion was reached, for instance because a limit came first; the message says why and what to change."""
