"""A mutex whose holder keeps its own priority (Reeves, "What really happened on Mars", 1997)."""

from __future__ import annotations

from detrun_scenarios.operating_system.cpu.mutex import Mutex
from detrun_scenarios.operating_system.cpu.threads import Thread


class PriorityInversion(Mutex):
    """Donates nothing."""

    def donate(self, waiter: Thread, holder: Thread) -> None:
        """See `Mutex.donate`."""
        # right: the holder gets the waiter's claim
