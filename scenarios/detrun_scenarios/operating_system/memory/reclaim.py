"""`Reclaim`: keeps some frames free, so that a fault seldom has to wait for one.

Three marks. When fewer than *low* frames are free a kernel thread wakes (kswapd), and empties frames until *high* are
free. Below *min* a thread that wants a frame has to empty one first (*direct reclaim*), which slows down those who
want most.

Source: Linux 6.1, `mm/vmscan.c` (`balance_pgdat`, `__alloc_pages_direct_reclaim`); a batch is its `SWAP_CLUSTER_MAX`.
"""

from __future__ import annotations

from typing import Any

import trio

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.operating_system.mechanisms import used
from detrun_scenarios.operating_system.memory.frames import Frame, Frames, Tenant
from detrun_scenarios.operating_system.memory.replacement import Aging, Clock, Replacement, WorkingSet
from detrun_scenarios.operating_system.memory.settings import MemorySettings

BATCH_PAGES = 32


def replacement_of(settings: MemorySettings, frames: Frames) -> Replacement:
    """The policy that is chosen."""
    if settings.policy == "working_set":
        return WorkingSet(frames.all, settings.window_seconds)
    return Clock(frames.all) if settings.policy == "clock" else Aging(frames.all)


class Reclaim:
    """See the module.

    Attributes:
        evicted: pages that have left.
        direct: how often one who wanted a frame had to empty one.
    """

    def __init__(self, settings: MemorySettings, frames: Frames) -> None:
        self.settings = settings
        self.frames = frames
        self.replacement = replacement_of(settings, frames)
        self.evicted = self.direct = 0
        self._low = trio.lowlevel.ParkingLot()

    def at_once(self, tenant: Tenant, page: Any) -> Frame | None:
        """A frame, if enough are free that none has to be emptied."""
        return self.frames.take(tenant, page) if self._take_notice() > self.settings.min_frames else None

    def spare(self, tenant: Tenant, page: Any) -> Frame | None:
        """A frame for what may never be wanted: only while no one is short of any."""
        return self.frames.take(tenant, page) if self.frames.free > self.settings.low_frames else None

    async def frame(self, tenant: Tenant, page: Any) -> Frame:
        """A frame, as soon as there is one."""
        while True:
            if self._take_notice() <= self.settings.min_frames:
                self.direct += 1
                used("direct reclaim")
                if (victim := self._choose()) is not None:
                    await self._empty(victim)
            frame = self.frames.take(tenant, page)
            if frame is not None:
                return frame
            await self.frames.freed.park()

    async def run(self) -> None:
        """The kernel thread, until cancelled."""
        async with trio.open_nursery() as nursery:
            if self.replacement.looks:
                nursery.start_soon(self._look)
            while True:
                if self.frames.free >= self.settings.low_frames:
                    await self._low.park()
                await self._balance()

    def _take_notice(self) -> int:
        """How many frames are free; the kernel thread is woken if they are few."""
        free = self.frames.free
        if free <= self.settings.low_frames:
            self._low.unpark_all()
        return free

    async def _balance(self) -> None:
        while (missing := self.settings.high_frames - self.frames.free) > 0:
            victims = [self._choose() for _ in range(min(missing, BATCH_PAGES))]
            chosen = [victim for victim in victims if victim is not None]
            if not chosen:  # all that could go are on their way
                await self.frames.freed.park()
                continue
            used("kernel thread freed frames")
            async with trio.open_nursery() as nursery:
                for victim in chosen:
                    nursery.start_soon(self._empty, victim)

    def _choose(self) -> Frame | None:
        victim = self.replacement.victim(plain(trio.current_time()))
        if victim is not None:
            victim.is_busy = True
            victim.is_referenced = False  # and if it is so when it is to leave, it was used meanwhile
        return victim

    async def _empty(self, frame: Frame) -> None:
        assert frame.tenant is not None
        if await frame.tenant.evict(frame):
            self.evicted += 1
            self.frames.put(frame)
        else:
            used("page used since it was chosen to leave")
            frame.is_busy = False
            self.frames.freed.unpark_all()  # there may be a victim again

    async def _look(self) -> None:
        while True:
            await trio.sleep(self.settings.look_seconds)
            self.replacement.look()
