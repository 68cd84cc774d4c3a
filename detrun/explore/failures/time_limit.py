"""`TimeLimit`: seconds after which a search for something simple or telling begins no further trial.

CPU time counts, which hardly depends on what else the machine does: a search comes as far on a busy one. Of real time,
which passes while a program waits for something outside, a third counts, so that a limit of 20 seconds ends a search
after a minute at the latest.
"""

from __future__ import annotations

import math
import time

REAL_SHARE = 1 / 3


class TimeLimit:
    """Begins when it is made.

    Args:
        seconds: of CPU time of this process, or thrice as many real ones.
    """

    def __init__(self, seconds: float = math.inf) -> None:
        self.seconds = seconds
        self._processor, self._real = time.process_time(), time.monotonic()

    def elapsed(self) -> float:
        """Seconds that have passed, as they count."""
        return max(time.process_time() - self._processor, REAL_SHARE * (time.monotonic() - self._real))

    @property
    def is_over(self) -> bool:
        """Whether no further trial begins."""
        return self.elapsed() >= self.seconds
