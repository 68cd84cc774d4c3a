"""`News`: wakes all tasks that wait for it at the moment when there is some."""

from __future__ import annotations

import trio


class News:
    """See the module. Who comes later waits for the next time, so a task looks at what it wants before it waits."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = trio.Event()

    def tell(self) -> None:
        """Wake those who wait."""
        self._event.set()
        self._event = trio.Event()

    async def wait(self) -> None:
        """Return when there is news."""
        await self._event.wait()
