"""`CachedFiles`: pages of files in memory, read ahead and written back.

The cache has no room of its own: it shares the frames of the machine with the processes, and gives them up as they do.
A page is changed in memory, and `WriteBack` brings it to the disk. What one reads ahead takes frames that are to spare.

Source: Linux 6.1, `mm/filemap.c`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import trio

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.frame.requirement import require
from detrun_scenarios.operating_system.calls import Caller
from detrun_scenarios.operating_system.files.extents import Extents
from detrun_scenarios.operating_system.files.read_ahead import Window
from detrun_scenarios.operating_system.files.write_back import Key, WriteBack
from detrun_scenarios.operating_system.invariants import LAST_WRITE, SYNCED
from detrun_scenarios.operating_system.mechanisms import used
from detrun_scenarios.operating_system.memory.frames import Frame
from detrun_scenarios.operating_system.memory.paging import Paging
from detrun_scenarios.operating_system.storage.device import BlockDevice
from detrun_scenarios.operating_system.storage.settings import StorageSettings


class CachedFiles:
    """See the module. Files have names, and pages of them versions: 0 for one that was never written.

    Attributes:
        misses: pages that were not there when they were wanted.
    """

    def __init__(
        self,
        settings: StorageSettings,
        memory: Paging,
        device: BlockDevice,
        write_back: type[WriteBack] = WriteBack,
    ) -> None:
        self.settings = settings
        self.memory = memory
        self.device = device
        self.extents = Extents(memory.settings.swap_pages, device.geometry.pages)
        self.misses = 0
        self._frames: dict[Key, Frame] = {}
        self.write_back = write_back(settings, memory.settings.frames, self._frames, self.extents, device)
        self._arriving: dict[Key, trio.Event] = {}
        self._sizes: dict[str, int] = {}
        self._windows: dict[tuple[str, str], Window] = {}  # reader, file
        self._written: dict[Key, int] = {}  # what a page must read as
        self._nursery: trio.Nursery | None = None

    # For processes.

    def create(self, name: str, pages: int) -> None:
        """A file that has been on the disk for long, of so many pages."""
        self._sizes[name] = pages

    async def read(self, caller: Caller, name: str, page: int) -> int:
        """The version of a page."""
        key = (name, page)
        wanted = self._window(caller.owner, name).pages(page, key in self._frames)
        wanted = range(wanted.start, min(wanted.stop, max(self._sizes.get(name, 0), page + 1)))
        if key in self._frames:
            if wanted and self._nursery is not None:
                self._nursery.start_soon(self._load_ahead, caller.owner, name, wanted)
        else:
            self.misses += 1
        while (frame := self._frames.get(key)) is None or key in self._arriving:
            async with caller.waits(f"page {page} of {name}"):
                if frame is None:
                    await self._load(caller.owner, name, wanted if page in wanted else range(page, page + 1))
                else:
                    used("page wanted that is being read ahead")
                    await self._arriving[key].wait()
        frame.is_referenced = True
        caller.spend(self.settings.copy_seconds)
        self._check(key, frame.content, LAST_WRITE)
        return frame.content

    async def write(self, caller: Caller, name: str, page: int) -> int:
        """Change a page in memory; its new version. Waits where too many pages are dirty."""
        key = (name, page)
        while (frame := self._frames.get(key)) is None or key in self._arriving:
            if frame is None:
                await self._make_room(caller, key)
            else:
                async with caller.waits(f"page {page} of {name}"):
                    await self._arriving[key].wait()
        caller.spend(self.settings.copy_seconds)
        self._sizes[name] = max(self._sizes.get(name, 0), page + 1)
        self._written[key] = frame.content = version = self._written.get(key, 0) + 1
        frame.is_referenced = True
        self.write_back.mark(key)
        await self.write_back.hold_back(caller)
        return version

    async def fsync(self, caller: Caller, name: str) -> None:
        """Return when all that was written to the file before is on the disk."""
        before = {key: frame.content for key, frame in self._frames.items() if key[0] == name}
        async with caller.waits(f"fsync of {name}"):
            await self.write_back.landed(before)  # what is on its way may be older than what was written since
            await self.write_back.write([key for key in self.write_back.dirty if key[0] == name])
            await self.write_back.landed(before)
        used("page synced")
        for key, version in before.items():
            on_disk = self.device.on_disk(self.extents.block(*key))
            require(on_disk >= version, SYNCED, f"page {key[1]} of {name} is {on_disk}, and {version} was synced")

    def check(self) -> None:
        """Fail the run if a page of the cache or of the disk is older than it may be."""
        for key in self._written:
            frame = self._frames.get(key)
            if frame is not None and key not in self._arriving:
                self._check(key, frame.content, LAST_WRITE)
            if (frame is None or not frame.is_dirty) and key not in self.write_back.writing:
                self._check(key, self.device.on_disk(self.extents.block(*key)), LAST_WRITE)

    async def run(self) -> None:
        """The kernel thread that writes dirty pages, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            await self.write_back.run()

    # Frames.

    def _window(self, owner: str, name: str) -> Window:
        window = self._windows.get((owner, name))
        if window is None:
            window = self._windows[owner, name] = Window(int(plain(self.settings.read_ahead)))
        return window

    async def _load(self, owner: str, name: str, pages: range) -> None:
        """Read a page, and those after it as far as they are not there, lie together and find room at once."""
        first = (name, pages[0])
        frame = await self.memory.reclaim.frame(self, first)
        if first in self._frames:
            self.memory.frames.put(frame)  # another one was faster
            return
        await self._fill(owner, [frame, *self._neighbours(name, pages)])

    async def _load_ahead(self, owner: str, name: str, pages: range) -> None:
        """The same, for pages of which none is wanted yet."""
        while pages and (name, pages[0]) in self._frames:
            pages = pages[1:]
        if pages and (frame := self.memory.reclaim.spare(self, (name, pages[0]))) is not None:
            frames = [frame, *self._neighbours(name, pages)]
            used("page read ahead")
            await self._fill(owner, frames)

    def _neighbours(self, name: str, pages: range) -> Iterable[Frame]:
        for page in pages[1:]:
            lies_beside = self.extents.block(name, page) == self.extents.block(name, page - 1) + 1
            if not lies_beside or (name, page) in self._frames:
                return
            if (frame := self.memory.reclaim.spare(self, (name, page))) is None:
                return
            yield frame

    async def _fill(self, owner: str, frames: list[Frame]) -> None:
        arrived = trio.Event()
        keys: list[Key] = [frame.page for frame in frames]
        for key, frame in zip(keys, frames, strict=True):
            self._frames[key] = frame
            self._arriving[key] = arrived
        contents = await self.device.read(self.extents.block(*keys[0]), len(frames), owner)
        for key, frame, content in zip(keys, frames, contents, strict=True):
            frame.content = content
            frame.is_busy = False
            del self._arriving[key]
        arrived.set()

    async def _make_room(self, caller: Caller, key: Key) -> None:
        """A frame for a page that is about to be written as a whole, so that nothing has to be read."""
        frame = self.memory.reclaim.at_once(self, key)
        if frame is None:
            async with caller.waits("a frame"):
                frame = await self.memory.reclaim.frame(self, key)
        if key in self._frames:
            self.memory.frames.put(frame)  # another one was faster
        else:
            frame.is_busy = False
            self._frames[key] = frame

    # Leaving, as `frames.Tenant`.

    def holds(self, page: Any) -> Frame | None:
        """See `Tenant`."""
        return self._frames.get(page)

    async def evict(self, frame: Frame) -> bool:
        """See `Tenant`."""
        key: Key = frame.page
        if frame.is_dirty:
            await self.write_back.write([key])
        await self.write_back.landed([key])
        if frame.is_dirty or frame.is_referenced:
            return False
        del self._frames[key]
        return True

    def _check(self, key: Key, content: int, name: str) -> None:
        wanted = self._written.get(key, 0)
        require(content == wanted, name, f"page {key[1]} of {key[0]} is {content}, and {wanted} was written")
