"""`Pipe`: bytes go in at one end and come out at the other. A full pipe holds up writers, an empty one readers.

Source: POSIX `pipe` and `write`: a write of at most `ATOMIC_BYTES` goes in whole; larger ones go in as there is room.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from detrun_scenarios.frame.news import News
from detrun_scenarios.operating_system.calls import Caller

CAPACITY_BYTES = 65_536
ATOMIC_BYTES = 4_096


class Pipe:
    """See the module."""

    def __init__(self, capacity: int = CAPACITY_BYTES) -> None:
        self.capacity = capacity
        self._content = bytearray()
        self._writers_are_gone = False
        self._readers_are_gone = False
        self._changes = News()

    async def write(self, caller: Caller, data: bytes) -> None:
        """Return when all of it is in the pipe.

        Raises:
            OSError: EPIPE, there is no reader left.
        """
        rest, least = data, len(data) if len(data) <= min(ATOMIC_BYTES, self.capacity) else 1
        while rest:
            await self._until(caller, lambda: self._readers_are_gone or self._room >= least)
            if self._readers_are_gone:
                raise OSError(errno.EPIPE, f"{caller.owner} writes to a pipe that has no reader")
            part, rest = rest[: self._room], rest[self._room :]
            self._content += part
            self._changes.tell()

    async def read(self, caller: Caller, most: int) -> bytes:
        """So many bytes at most, and at least one; none if all has been read and no writer is left."""
        await self._until(caller, lambda: bool(self._content) or self._writers_are_gone)
        found = bytes(self._content[:most])
        del self._content[:most]
        self._changes.tell()
        return found

    def close_writing(self) -> None:
        """The last writer is gone."""
        self._writers_are_gone = True
        self._changes.tell()

    def close_reading(self) -> None:
        """The last reader is gone."""
        self._readers_are_gone = True
        self._changes.tell()

    @property
    def _room(self) -> int:
        return self.capacity - len(self._content)

    async def _until(self, caller: Caller, condition: Callable[[], bool]) -> None:
        while not condition():
            async with caller.waits("a pipe"):
                await self._changes.wait()
