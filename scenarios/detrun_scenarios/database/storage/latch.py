"""`Latch`: a short lock on a page in memory, shared by readers or held by one writer.

First come, first served: a reader that comes after a waiting writer waits, too, so that writers do not starve. A latch
has no detection of deadlocks; those who take several keep an order (`tree.btree` says which). Taking one is a schedule
point.
"""

from __future__ import annotations

from collections import deque
from typing import Literal, TypeAlias

import trio

Mode: TypeAlias = Literal["shared", "exclusive"]


class Latch:
    """See the module.

    Attributes:
        readers: how many share it; -1 while a writer holds it.
    """

    __slots__ = ("_waiting", "readers")

    def __init__(self) -> None:
        self.readers = 0
        self._waiting: deque[tuple[Mode, trio.Event]] = deque()

    @property
    def is_free(self) -> bool:
        """Whether it is neither held nor wanted."""
        return not self.readers and not self._waiting

    async def acquire(self, mode: Mode) -> None:
        """Take it."""
        if not self._waiting and self._fits(mode):
            self._grant(mode)
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        granted = trio.Event()
        self._waiting.append((mode, granted))
        try:
            await granted.wait()
        except trio.Cancelled:
            if granted.is_set():
                self.release(mode)
            else:
                self._waiting.remove((mode, granted))
                self._grant_next()
            raise

    def release(self, mode: Mode) -> None:
        """Give it back."""
        assert self.readers == -1 if mode == "exclusive" else self.readers > 0
        self.readers += 1 if mode == "exclusive" else -1
        self._grant_next()

    def _fits(self, mode: Mode) -> bool:
        return self.readers == 0 if mode == "exclusive" else self.readers >= 0

    def _grant(self, mode: Mode) -> None:
        self.readers = -1 if mode == "exclusive" else self.readers + 1

    def _grant_next(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            mode, granted = self._waiting.popleft()
            self._grant(mode)
            granted.set()
