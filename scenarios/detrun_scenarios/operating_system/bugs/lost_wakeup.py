"""A core that says it is asleep after it has looked at its queue, so that a wake-up in between kicks no core."""

from __future__ import annotations

import trio

from detrun_scenarios.operating_system.cpu.idle import Idle


class LostWakeup(Idle):
    """Looks, and then falls asleep."""

    async def prepare(self) -> bool:
        """See `Idle.prepare`."""
        if self.core.queue.threads:
            return False
        await trio.sleep(self.scheduler.settings.idle_seconds)
        self.core.is_asleep = True  # right: before the look
        return True
