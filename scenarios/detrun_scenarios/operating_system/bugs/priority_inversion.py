"""A mutex whose holder keeps its own priority (Reeves, "What really happened on Mars", 1997)."""

from __future__ import annotations

from detrun_scenarios.operating_system.cpu.mutex import Mutex
from detrun_scenarios.operating_system.cpu.threads import Thread


class PriorityInversion(Mutex):
    """Wants the holder to be quick, and gives it nothing for that."""

    def donate(self, waiter: Thread) -> None:
        """See `Mutex.donate`."""
        holder = self.holder
        assert holder is not None
        self.scheduler.urge(holder)  # right: with the waiter among its donors
