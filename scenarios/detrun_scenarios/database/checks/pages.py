"""Pages in memory: only whole ones are used, they stay while they are used, and no latches are waited for in a circle.

`CheckedPool` looks at a pool as it works, whatever the pool decides itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import trio

import detrun
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
        self._holders: dict[Frame, list[trio.lowlevel.Task]] = {}
        self._wanted: dict[trio.lowlevel.Task, Frame] = {}

    def opened(self, data: bytes, where: str) -> Page:
        """See `BufferPool.opened`."""
        page = super().opened(data, where)
        try:
            Page.opened(data, where)
        except TornPageError as error:
            detrun.always(False, WHOLE, str(error))
        detrun.always(True, WHOLE)
        return page

    def changed(self, frame: Frame, lsn: int) -> None:
        """See `BufferPool.changed`."""
        detrun.always(
            self.frames.get(frame.page_id) is frame, STAYING, f"page {frame.page_id} is changed, and not there"
        )
        super().changed(frame, lsn)

    async def latch(self, frame: Frame, mode: Mode) -> None:
        """See `BufferPool.latch`."""
        task = trio.lowlevel.current_task()
        self._wanted[task] = frame
        try:
            if not frame.latch.is_free:
                circle = [str(self._wanted[one].page_id) for one in self._circle(task)]
                wanted = f"each of {len(circle)} tasks waits for the next; they want the pages {', '.join(circle)}"
                detrun.always(not circle, NO_CIRCLE, wanted)
            await super().latch(frame, mode)
        finally:
            del self._wanted[task]
        self._holders.setdefault(frame, []).append(task)

    def release(self, frame: Frame, mode: Mode) -> None:
        """See `BufferPool.release`."""
        detrun.always(self.frames.get(frame.page_id) is frame, STAYING, f"page {frame.page_id} was used, and is gone")
        holders = self._holders[frame]
        task = trio.lowlevel.current_task()
        holders.remove(task if task in holders else holders[0])
        if not holders:
            del self._holders[frame]
        super().release(frame, mode)

    def _circle(self, first: trio.lowlevel.Task) -> list[trio.lowlevel.Task]:
        """Tasks of which each waits for the next, and the last for the first; empty if there is none."""
        paths = [[first]]
        reached = {first}
        while paths:
            path = paths.pop()
            frame = self._wanted.get(path[-1])
            if frame is None:
                continue
            for holder in self._holders.get(frame, ()):
                if holder is first:
                    return path
                if holder not in reached:
                    reached.add(holder)
                    paths.append([*path, holder])
        return []


def checked(pool: type[BufferPool]) -> type[CheckedPool]:
    """Pools of a class, the right one or one with a planted bug, that are looked at."""
    return type(f"Checked{pool.__name__}", (CheckedPool, pool), {})
