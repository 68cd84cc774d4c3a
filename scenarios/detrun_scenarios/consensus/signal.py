"""`Signal`: one task sleeps until another has work for it."""

from __future__ import annotations

import trio


class Signal:
    """Set any number of times, it wakes its one waiter once, now or at its next wait."""

    __slots__ = ("_is_set", "_lot")

    def __init__(self) -> None:
        self._lot = trio.lowlevel.ParkingLot()
        self._is_set = False

    def set(self) -> None:
        """There is work."""
        self._is_set = True
        self._lot.unpark()

    async def wait(self) -> None:
        """Return when there is work that no earlier wait has returned for."""
        if not self._is_set:
            await self._lot.park()
        else:
            await trio.lowlevel.checkpoint()
        self._is_set = False
