"""`Drain`: how a server that is told to stop lets those finish whom it has accepted.

From the first moment on it refuses new requests, and then it waits until none is in flight, for ``drain_seconds`` at
most. That order matters: were the count looked at first, a request could come in after the look.
"""

from __future__ import annotations

import trio

from detrun_scenarios.web_server.application.application import Application
from detrun_scenarios.web_server.settings import Settings


class Drain:
    """See the module.

    Attributes:
        was_late: whether the deadline passed with requests still inside, which are dropped then.
    """

    def __init__(self, settings: Settings, application: Application) -> None:
        self.settings = settings
        self.application = application
        self.was_late = False

    async def wait(self) -> None:
        """Return when the server may stop."""
        self.application.is_draining = True
        await self.until_empty()

    async def until_empty(self) -> None:
        """Wait for those in flight, within the deadline."""
        with trio.move_on_after(self.settings.drain_seconds) as scope:
            await self.application.in_flight.empty()
        self.was_late = scope.cancelled_caught
