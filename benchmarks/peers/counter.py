"""The lost update: two workers read a counter and write it back, one more. The code under test of every contender."""

from __future__ import annotations

from collections.abc import Awaitable, Callable


class Counter:
    """A counter that is not atomic."""

    def __init__(self) -> None:
        self.value = 0

    def increment(self) -> None:
        """For threads: loses an update if another thread writes between these lines."""
        seen = self.value
        self.value = seen + 1

    async def increment_with(self, pause: Callable[[], Awaitable[object]]) -> None:
        """For tasks, which can be interrupted at ``pause`` only."""
        seen = self.value
        await pause()
        self.value = seen + 1

    def holds(self) -> bool:
        """A condition that is true after two increments under any schedule, so that every schedule passes."""
        return self.value in (1, 2)
