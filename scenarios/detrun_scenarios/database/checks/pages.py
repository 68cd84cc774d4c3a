"""Pages in memory: only whole ones are used, they stay while they are used, and no latches are waited for in a circle.

`CheckedPool` looks at a pool as it works, whatever the pool decides itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import detrun
from detrun.checkers.uses import Uses
from detrun.checkers.waiting import Holders
from detrun_scenarios.database.storage.buffer import Area, BufferPool, Frame, LogOfPages
from detrun_scenarios.database.storage.latch import Mode
from detrun_scenarios.database.storage.page import Page, TornPageError
from detrun_scenarios.database.storage.replacement import PolicyName
from detrun_scenarios.database.storage.volume import Volume

WHOLE: Final = "whole pages"
STAYING: Final = "pages that are used stay"
NO_CIRCLE: Final = "no circle of latches"


class CheckedPool(BufferPool):
    """See the module. Made by `checked` from the class of the pool that is to be checked."""

    def __init__(
        self, volume: Volume, log: LogOfPages, capacity: Mapping[Area, int], policy: PolicyName = "lru"
    ) -> None:
        super().__init__(volume, log, capacity, policy)
        self._holders = Holders()
        self._uses = Uses()

    def opened(self, data: bytes, where: str) -> Page:
        """See `BufferPool.opened`."""
        torn = _torn(data, where)
        page = super().opened(data, where)
        detrun.always(not torn, WHOLE, torn)
        return page

    def may_go(self, frame: Frame) -> bool:
        """See `BufferPool.may_go`."""
        may = super().may_go(frame)
        if may:
            taken = self._uses.may_go(f"page {frame.page_id}")
            detrun.always(taken, STAYING, lambda: str(taken))
        return may

    def _pin(self, frame: Frame) -> None:
        super()._pin(frame)
        self._uses.begins(f"page {frame.page_id}")

    def unpin(self, frame: Frame) -> None:
        """See `BufferPool.unpin`."""
        self._uses.ends(f"page {frame.page_id}")
        super().unpin(frame)

    def changed(self, frame: Frame, lsn: int) -> None:
        """See `BufferPool.changed`."""
        detrun.always(
            self.frames.get(frame.page_id) is frame, STAYING, f"page {frame.page_id} is changed, and not there"
        )
        super().changed(frame, lsn)

    async def latch(self, frame: Frame, mode: Mode) -> None:
        """See `BufferPool.latch`."""
        asked = self._holders.asks(f"page {frame.page_id}")
        try:
            detrun.always(asked, NO_CIRCLE, lambda: str(asked))
            await super().latch(frame, mode)
        except BaseException:
            self._holders.gives_up()
            raise
        self._holders.takes(f"page {frame.page_id}")

    def release(self, frame: Frame, mode: Mode) -> None:
        """See `BufferPool.release`."""
        detrun.always(self.frames.get(frame.page_id) is frame, STAYING, f"page {frame.page_id} was used, and is gone")
        self._holders.releases(f"page {frame.page_id}")
        super().release(frame, mode)


def _torn(data: bytes, where: str) -> str:
    """Why a page is not whole; empty if it is."""
    try:
        Page.opened(data, where)
    except TornPageError as error:
        return str(error)
    return ""


def checked(pool: type[BufferPool]) -> type[CheckedPool]:
    """Pools of a class, the right one or one with a planted bug, that are looked at."""
    return type(f"Checked{pool.__name__}", (CheckedPool, pool), {})
