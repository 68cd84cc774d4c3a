"""`BufferPool`: the pages in memory, which are read when they are wanted and written when their place is.

The frames are split between the pages of indexes and those of heaps, each part with a replacement policy of its own.
A task that works with a page *pins* its frame, so that it stays, and latches it, so that others see it before or after.

Rules.
- A change of a page and its record in the log happen without a schedule point between them, and so does the change of
  all pages of one record: at every schedule point the page is what its `lsn` says.
- No page leaves before its log: `log.flush(page.lsn)` comes first.
- A frame is *dirty* from its first change after a write; that record holds an image of the whole page, by which a write
  that the next power loss tears is mended. Its position is the frame's *recovery LSN*.
- A page that was written counts as dirty until the volume was synced (`dirty_pages`): redo has to begin before it.

Source: the terms are those of ARIES (Mohan et al. 1992, section 3.2); images after the first change are PostgreSQL's
``full_page_writes``, with "first after a write" for "first after a checkpoint", since checkpoints here are fuzzy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Literal, Protocol, TypeAlias

import trio

from detrun_scenarios.database.storage.latch import Latch, Mode
from detrun_scenarios.database.storage.page import Page
from detrun_scenarios.database.storage.replacement import POLICIES, PolicyName
from detrun_scenarios.database.storage.volume import Volume

Area: TypeAlias = Literal["index", "heap"]
AREAS: tuple[Area, Area] = ("index", "heap")


class LogOfPages(Protocol):
    """The log, as far as pages are concerned."""

    async def flush(self, lsn: int) -> None:
        """Return when the record at ``lsn`` is durable."""


class Frame:
    """A page in memory.

    Attributes:
        pins: how many work with it.
        recovery_lsn: of the first change that is not written, None if there is none.
        loaded: set when the page is there; None from then on.
        is_broken: reading failed, and the frame is gone.
    """

    __slots__ = ("area", "is_broken", "latch", "loaded", "page", "page_id", "pins", "recovery_lsn")

    page: Page

    def __init__(self, page_id: int, area: Area) -> None:
        self.page_id = page_id
        self.area: Area = area
        self.pins = 0
        self.recovery_lsn: int | None = None
        self.latch = Latch()
        self.loaded: trio.Event | None = trio.Event()
        self.is_broken = False


class BufferPool:
    """See the module.

    Args:
        capacity: frames of each area; it must be more than all tasks together pin at once.
    """

    def __init__(
        self, volume: Volume, log: LogOfPages, capacity: Mapping[Area, int], policy: PolicyName = "lru"
    ) -> None:
        self.volume = volume
        self.log = log
        self.capacity = capacity
        self.policies = {area: POLICIES[policy]() for area in AREAS}
        self.counts = dict.fromkeys(AREAS, 0)
        self.frames: dict[int, Frame] = {}
        self.unsynced: dict[int, int] = {}  # written and not synced: page -> recovery LSN
        self._being_synced: dict[int, int] = {}
        self._being_written: dict[int, tuple[int, trio.Event]] = {}
        self._syncing = trio.Lock()
        self._unpinned = trio.Event()

    # Pages for work.

    async def acquire(self, page_id: int, area: Area, mode: Mode) -> Frame:
        """Pin and latch a page. The caller has to `release` it."""
        frame = await self.pin(page_id, area)
        try:
            await self.latch(frame, mode)
        except BaseException:
            self.unpin(frame)
            raise
        return frame

    async def latch(self, frame: Frame, mode: Mode) -> None:
        """Latch a page that is pinned. `release` gives back both."""
        await frame.latch.acquire(mode)

    def release(self, frame: Frame, mode: Mode) -> None:
        """Give back what `acquire` has given."""
        frame.latch.release(mode)
        self.unpin(frame)

    def using(self, page_id: int, area: Area, mode: Mode) -> Using:
        """``async with`` it: the frame, pinned and latched."""
        return Using(self, page_id, area, mode)

    async def pin(self, page_id: int, area: Area) -> Frame:
        """The frame of a page, which stays until `unpin`.

        Raises:
            TornPageError: the page on the disk is not whole.
        """
        while True:
            frame = self.frames.get(page_id)
            if frame is None:
                await self.load((page_id,), area)
                continue
            self._pin(frame)
            if frame.loaded is not None:
                await frame.loaded.wait()
                if frame.is_broken:
                    continue  # and fail as the one who loaded it
            return frame

    def create(self, page_id: int, area: Area, page: Page) -> Frame:
        """A frame for a page that is on no disk, pinned; the caller has seen to it that there is a `room`."""
        frame = self._add(page_id, area)
        frame.page = page
        self._loaded(frame)
        return frame

    def renew(self, page_id: int, area: Area, page: Page) -> Frame:
        """As `create`, for a page that was free, whatever it was."""
        frame = self.frames.get(page_id)
        if frame is None:
            return self.create(page_id, area, page)
        assert frame.area == area
        self._pin(frame)
        frame.page = page
        return frame

    def unpin(self, frame: Frame) -> None:
        """The frame may go."""
        frame.pins -= 1
        if not frame.pins:
            self._unpinned.set()

    def changed(self, frame: Frame, lsn: int) -> None:
        """The record at ``lsn`` has changed the page."""
        frame.page.lsn = lsn
        if frame.recovery_lsn is None:
            frame.recovery_lsn = lsn

    # Places.

    async def room(self, area: Area) -> None:
        """Return when the area has a free place. It is free until the next schedule point only."""
        while self.counts[area] >= self.capacity[area]:
            page_id = self.policies[area].victim(lambda page_id: self.may_go(self.frames[page_id]))
            if page_id is None:
                self._unpinned = trio.Event()
                await self._unpinned.wait()
            elif self.frames[page_id].recovery_lsn is not None:
                await self.write(self.frames[page_id])
            else:
                self._drop(self.frames[page_id])

    def _has_place(self, area: Area) -> bool:
        """Whether the area has a free place, or gets one at once."""
        if self.counts[area] < self.capacity[area]:
            return True
        frames = self.frames
        page_id = self.policies[area].victim(
            lambda page_id: frames[page_id].recovery_lsn is None and self.may_go(frames[page_id])
        )
        if page_id is None:
            return False
        self._drop(frames[page_id])
        return True

    def may_go(self, frame: Frame) -> bool:
        """Whether a frame may be given to another page."""
        return not frame.pins

    def _add(self, page_id: int, area: Area) -> Frame:
        assert page_id not in self.frames
        frame = self.frames[page_id] = Frame(page_id, area)
        self.counts[area] += 1
        self._pin(frame)
        return frame

    def _pin(self, frame: Frame) -> None:
        frame.pins += 1
        self.policies[frame.area].touched(frame.page_id)

    def _loaded(self, frame: Frame) -> None:
        assert frame.loaded is not None
        frame.loaded.set()
        frame.loaded = None

    def _drop(self, frame: Frame) -> None:
        del self.frames[frame.page_id]
        self.counts[frame.area] -= 1
        self.policies[frame.area].dropped(frame.page_id)

    # Reading and writing.

    async def load(self, page_ids: Sequence[int], area: Area) -> None:
        """Read pages that are not there, those with consecutive numbers at once; for read-ahead and for `pin`.

        Only the first is sure to get a place; others do as far as that takes no writing.

        Raises:
            TornPageError: a page is not whole; the first one then, for others wait until they are wanted.
        """
        first, *others = page_ids
        await self.room(area)
        if first in self.frames:
            return  # another task was faster
        frames = [self._add(first, area)]
        for page_id in others:
            if page_id != frames[-1].page_id + 1 or page_id in self.frames or not self._has_place(area):
                break
            frames.append(self._add(page_id, area))
        found: list[bytes] = []
        try:
            found = await self.volume.read(first, len(frames))
        finally:
            error = self._fill(frames, found)
        if error is not None:
            raise error

    def _fill(self, frames: list[Frame], found: Sequence[bytes]) -> Exception | None:
        """Put what was read into the frames; why the first of them is broken, if it is."""
        first_error: Exception | None = None
        for place, frame in enumerate(frames):
            try:
                data = found[place] if place < len(found) else b""
                frame.page = self.opened(data, f"page {frame.page_id}")
            except Exception as error:
                frame.is_broken = True
                self._drop(frame)
                if not place:
                    first_error = error
            self._loaded(frame)
            self.unpin(frame)
        return first_error

    def opened(self, data: bytes, where: str) -> Page:
        """A page as it comes from the disk, checked.

        Raises:
            TornPageError: it is not whole.
        """
        return Page.opened(data, where)

    async def write(self, frame: Frame) -> None:
        """Write a page, if it is dirty, after its log."""
        frame.pins += 1
        try:
            while frame.recovery_lsn is not None:
                if (other := self._being_written.get(frame.page_id)) is not None:
                    await other[1].wait()  # two writes of a page could land in any order
                    continue
                lsn = frame.page.lsn
                await self.log.flush(lsn)
                if frame.page.lsn != lsn or frame.recovery_lsn is None or frame.page_id in self._being_written:
                    continue  # it was changed meanwhile, or another task writes it
                recovery_lsn, frame.recovery_lsn = frame.recovery_lsn, None
                written = trio.Event()
                self._being_written[frame.page_id] = (recovery_lsn, written)
                await self.volume.write(frame.page_id, frame.page.sealed())
                # Only now: a sync that has begun meanwhile may have missed it.
                self.unsynced.setdefault(frame.page_id, recovery_lsn)
                del self._being_written[frame.page_id]
                written.set()
                return
        finally:
            self.unpin(frame)

    async def sync(self) -> None:
        """Make durable what was written before."""
        async with self._syncing:
            self._being_synced, self.unsynced = self.unsynced, {}
            await self.volume.sync()
            self._being_synced = {}

    def dirty_pages(self) -> dict[int, int]:
        """Page -> the position in the log from which redo must look at it."""
        found = dict(self._being_synced)
        for page_id, lsn in self.unsynced.items():
            found.setdefault(page_id, lsn)
        for page_id, (lsn, _) in self._being_written.items():
            found.setdefault(page_id, lsn)
        for frame in self.frames.values():
            if frame.recovery_lsn is not None:
                found.setdefault(frame.page_id, frame.recovery_lsn)
        return found

    def _check(self) -> None:
        """The invariants of a pool in which no task works."""
        for area in AREAS:
            here = [frame for frame in self.frames.values() if frame.area == area]
            assert self.counts[area] == len(here) <= self.capacity[area]
        for page_id, frame in self.frames.items():
            assert frame.page_id == page_id
            assert frame.pins == 0
            assert frame.latch.is_free
            assert frame.loaded is None


class Using:
    """A frame for the time of a block."""

    __slots__ = ("_area", "_frame", "_mode", "_page_id", "_pool")

    def __init__(self, pool: BufferPool, page_id: int, area: Area, mode: Mode) -> None:
        self._pool, self._page_id, self._area, self._mode = pool, page_id, area, mode
        self._frame: Frame | None = None

    async def __aenter__(self) -> Frame:
        self._frame = await self._pool.acquire(self._page_id, self._area, self._mode)
        return self._frame

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._frame is not None
        self._pool.release(self._frame, self._mode)
