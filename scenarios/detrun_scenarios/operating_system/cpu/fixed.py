"""Queues of fixed priorities: the most urgent runs, and of equals the one that came first, for as long as it wants.

Source: POSIX's `SCHED_FIFO`.
"""

from __future__ import annotations

import math
from typing import Any

from detrun_scenarios.operating_system.cpu.queues import RunQueue
from detrun_scenarios.operating_system.cpu.threads import Thread


class FixedQueue(RunQueue):
    """See the module."""

    def add(self, thread: Thread, woken: bool) -> None:
        """One that has lost its core is still the first of its priority."""
        if woken:
            super().add(thread, woken)
        else:
            self.threads.insert(0, thread)

    def next(self) -> Thread | None:
        """See `RunQueue`."""
        return max(self.threads, key=lambda thread: thread.priority, default=None)

    def slice_of(self, thread: Thread) -> Any:
        """No end."""
        return math.inf

    def preempts(self, new: Thread, running: Thread) -> bool:
        """See `RunQueue`."""
        return new.priority > running.priority

    def patience(self, thread: Thread) -> float:
        """No end: who is less urgent may starve."""
        return math.inf
