"""`WriteBack`: brings changed pages of files to the disk, some time after they were changed.

A kernel thread writes pages that are old, and the oldest ones when many are dirty. One who writes while too many are
dirty or on their way waits until there are fewer.

Rules.
- The dirty mark of a page is taken away before it is written: a change from then on sets it again, and is not in what
  is being written.
- A page is on its way to the disk once at a time (`writing`): two writes of it could land in any order.

Source: Linux 6.1, `mm/page-writeback.c` (`balance_dirty_pages`) and `fs/fs-writeback.c` (`wb_check_old_data_flush`,
`wb_check_background_flush`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import trio

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.operating_system.calls import Caller
from detrun_scenarios.operating_system.files.extents import Extents
from detrun_scenarios.operating_system.mechanisms import used
from detrun_scenarios.operating_system.memory.frames import Frame
from detrun_scenarios.operating_system.storage.device import BlockDevice
from detrun_scenarios.operating_system.storage.settings import StorageSettings

FLUSHER = "flusher"  # owner of what is written, in the eyes of the elevator

Key: TypeAlias = tuple[str, int]  # of a page: file, number


class WriteBack:
    """See the module.

    Args:
        total: frames of the machine, of which settings name shares.
        frames: those of pages of files.

    Attributes:
        dirty: pages, and since when they are; the oldest first.
        writing: pages on their way to the disk, and what is set when they are there.
        held_back: how often one who writes had to wait.
    """

    def __init__(
        self,
        settings: StorageSettings,
        total: int,
        frames: Mapping[Key, Frame],
        extents: Extents,
        device: BlockDevice,
    ) -> None:
        self.settings = settings
        self.dirty: dict[Key, float] = {}
        self.writing: dict[Key, trio.Event] = {}
        self.held_back = 0
        self._total = total
        self._frames = frames
        self._extents = extents
        self._device = device
        self._woken = trio.lowlevel.ParkingLot()
        self._written = trio.lowlevel.ParkingLot()

    # For those who change pages.

    def mark(self, key: Key) -> None:
        """A page was changed."""
        self._frames[key].is_dirty = True
        self.dirty.setdefault(key, plain(trio.current_time()))

    async def hold_back(self, caller: Caller) -> None:
        """Return when few enough pages are dirty or on their way to the disk."""
        if len(self.dirty) <= self._background:
            return
        self._woken.unpark_all()
        if len(self.dirty) + len(self.writing) > self._limit:
            self.held_back += 1
            used("writer held back")
            async with caller.waits("dirty pages"):
                while len(self.dirty) + len(self.writing) > self._limit:
                    await self._written.park()
                    self._woken.unpark_all()

    async def landed(self, keys: Iterable[Key]) -> None:
        """Return when pages that are on their way are on the disk."""
        for written in [self.writing[key] for key in keys if key in self.writing]:
            await written.wait()

    @property
    def _limit(self) -> int:
        return self._share(self.settings.dirty_limit)

    @property
    def _background(self) -> int:
        return min(self._limit, self._share(self.settings.dirty_background))

    def _share(self, share: Any) -> int:
        return max(1, int(plain(share) * self._total))

    # The kernel thread.

    async def run(self) -> None:
        """Write what is due, until cancelled."""
        while True:
            if not (due := self._due()):
                with trio.move_on_after(self.settings.flush_interval):
                    await self._woken.park()
                due = self._due()
            if due:
                used("page written in the background")
            await self.write(due)

    def _due(self) -> list[Key]:
        """Pages that are old, and the oldest of those that are too many."""
        now = trio.current_time()
        too_many = len(self.dirty) - self._background
        return [
            key
            for place, (key, since) in enumerate(self.dirty.items())
            if key not in self.writing and (place < too_many or now - since > self.settings.dirty_age)
        ]

    # Writing.

    async def write(self, keys: Iterable[Key]) -> None:
        """Write pages to the disk, those that lie together at once; of one that is on its way, do nothing."""
        runs: list[list[Key]] = []
        blocks = {self._extents.block(*key): key for key in keys if key not in self.writing}
        for block in sorted(blocks):
            if block - 1 in blocks and runs:
                runs[-1].append(blocks[block])
            else:
                runs.append([blocks[block]])
        for run in runs:
            self.writing.update(dict.fromkeys(run, trio.Event()))
        async with trio.open_nursery() as nursery:
            for run in runs[1:]:
                nursery.start_soon(self.write_run, run)
            if runs:
                await self.write_run(runs[0])

    async def write_run(self, run: list[Key]) -> None:
        """Write pages that lie together, and tell those who wait."""
        self.clean(run)
        await self.put_on_disk(run)
        self.finish(run)

    async def put_on_disk(self, run: list[Key]) -> None:
        """Return when pages are on the disk as they are now."""
        contents = [self._frames[key].content for key in run]
        await self._device.write(self._extents.block(*run[0]), contents, FLUSHER)

    def clean(self, run: list[Key]) -> None:
        """What changes from now on is dirty again."""
        for key in run:
            self._frames[key].is_dirty = False
            self.dirty.pop(key, None)

    def finish(self, run: list[Key]) -> None:
        """Pages have been written."""
        for key in run:
            self.writing.pop(key).set()
        self._written.unpark_all()
