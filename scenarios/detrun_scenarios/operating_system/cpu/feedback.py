"""Feedback queues: who uses up its time on a level goes to the one below, and once in a while all go to the top.

Time on a level counts however often a thread gives up the core meanwhile, so that none stays on top by sleeping just
before its quantum ends.

Source: Arpaci-Dusseau, *Operating Systems: Three Easy Pieces*, chapter 8, rules 1 to 5.
"""

from __future__ import annotations

from typing import Any

from detrun.ad.value import primal_of
from detrun_scenarios.operating_system.cpu.core import ROUNDING
from detrun_scenarios.operating_system.cpu.queues import RunQueue
from detrun_scenarios.operating_system.cpu.threads import Thread


class FeedbackQueue(RunQueue):
    """See the module."""

    def next(self) -> Thread | None:
        """The first of the highest level."""
        return min(self.threads, key=lambda thread: thread.level, default=None)

    def slice_of(self, thread: Thread) -> Any:
        """What is left of its allotment."""
        if thread.allotment is None:
            thread.allotment = self.quantum(thread.own_level)
        return thread.allotment

    def preempts(self, new: Thread, running: Thread) -> bool:
        """See `RunQueue`."""
        return new.level < running.level

    def charge(self, thread: Thread, seconds: Any) -> None:
        """Rule 4: an allotment that is used up costs a level."""
        left = self.slice_of(thread) - seconds
        if left <= ROUNDING:
            thread.own_level = min(thread.own_level + 1, self.settings.levels - 1)
            left = self.quantum(thread.own_level)
        thread.allotment = left

    def patience(self, thread: Thread) -> float:
        """A boost comes, and after it each of the others has the core once."""
        settings = self.settings
        return primal_of(settings.boost_period) + (len(self.threads) + 1) * primal_of(self.quantum(settings.levels))

    def quantum(self, level: int) -> Any:
        """The allotment of a level."""
        return self.settings.quantum * 2.0**level


def boost(threads: list[Thread]) -> None:
    """Rule 5: all threads of the machine are at the top again."""
    for thread in threads:
        thread.own_level, thread.allotment = 0, None
