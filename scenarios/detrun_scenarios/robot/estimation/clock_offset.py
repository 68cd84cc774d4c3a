"""`ClockOffset`: by how much the base's clock is ahead of the brain's, out of questions and answers.

An answer says what the other clock showed in the middle of its round trip, give or take half of it. Of the last few the
one with the shortest trip counts, as in NTP's clock filter (RFC 5905, section 10).
"""

from __future__ import annotations

from collections import deque
from typing import Any

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.robot.messages import TimeAnswer

KEPT = 8


class ClockOffset:
    """See the module; seconds throughout."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Any]] = deque(maxlen=KEPT)

    @property
    def count(self) -> int:
        """Of the answers that are kept."""
        return len(self._samples)

    def hear(self, answer: TimeAnswer, now: Any) -> None:
        """An answer has come, at ``now`` by the clock of the brain."""
        trip = plain(now - answer.asked)
        self._samples.append((trip, answer.shown - (answer.asked + now) * 0.5))

    def ahead(self) -> Any:
        """The offset."""
        return min(self._samples, key=lambda one: one[0])[1]
