"""`Backoff`: how long to wait before a request is tried again.

The wait is drawn between 0 and a ceiling that doubles with each attempt, up to a maximum ("full jitter"). Those who
failed together then do not come back together: of n clients that failed at one moment, the expected number in any short
stretch of the first wait is n times its length over the ceiling.

The draw belongs to the task that waits, so other tasks do not change it.

Source: Brooker, "Exponential backoff and jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import detrun


@dataclass(frozen=True, slots=True)
class Backoff:
    """See the module.

    Attributes:
        base: ceiling of the first wait, in seconds; may be a Value.
        longest: ceiling that no wait exceeds, in seconds.
    """

    base: Any
    longest: float = 10.0

    def ceiling(self, attempt: int) -> Any:
        """Of the wait after the attempt with this number, the first being 1."""
        return min(self.base * 2.0 ** (attempt - 1), self.longest)

    def draw(self, attempt: int) -> Any:
        """Seconds to wait after the attempt with this number."""
        return self.ceiling(attempt) * detrun.uniform()
