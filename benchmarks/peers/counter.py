"""The lost update: two workers read a counter and write it back, one more. The code under test of every contender."""

from __future__ import annotations

from collections.abc import Awaitable, Callable


class Counter:
    """A counter that is not atomic.

    Args:
        times: that each worker increments it, where it is a task.
    """

    def __init__(self, times: int = 1) -> None:
        self.value = 0
        self.times = times

    def increment(self) -> None:
        """For threads: loses an update if another thread writes between these lines."""
        seen = self.value
        self.value = seen + 1

    async def increment_with(self, pause: Callable[[], Awaitable[object]]) -> None:
        """For tasks, which can be interrupted at ``pause`` only."""
        for _ in range(self.times):
            seen = self.value
            await pause()
            self.value = seen + 1

    def holds(self) -> bool:
        """A condition that is true after both workers under any schedule, so that every schedule passes."""
        return 1 <= self.value <= 2 * self.times
