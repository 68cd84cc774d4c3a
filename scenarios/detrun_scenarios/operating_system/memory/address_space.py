"""`PagedSpace`: the pages of one process, and what happens at a fault.

A page that was never written is a frame of zeros (a *minor* fault); one that was swapped out is read back (a *major*
one). A thread that wants a page on its way in waits for the thread that brings it.

Rules.
- A page on its way out is found in memory until it has landed on the disk (`leaving`): who wants it meanwhile gets its
  frame back. To read the slot instead would race with the write, which elevators let reads overtake.
- The order of leaving is: take it out of the table, let all cores forget it, then look whether it is dirty, take the
  mark away, write.

Source: the swap cache of Linux, as in Gorman, *Understanding the Linux Virtual Memory Manager*, 2004, chapter 11.
"""

from __future__ import annotations

from typing import Any

import trio

from detrun_scenarios.frame.requirement import require
from detrun_scenarios.operating_system.calls import Caller
from detrun_scenarios.operating_system.invariants import LAST_WRITE
from detrun_scenarios.operating_system.mechanisms import used
from detrun_scenarios.operating_system.memory.frames import Frame
from detrun_scenarios.operating_system.memory.page_table import Entry, PageTable
from detrun_scenarios.operating_system.memory.paging import Paging


class PagedSpace:
    """See the module. Pages are numbered from 0 on.

    Attributes:
        major_faults, minor_faults: that had to read from the disk, and that had not.
    """

    def __init__(self, memory: Paging, owner: str, number: int, pages: int) -> None:
        self.memory = memory
        self.owner = owner
        self.number = number
        self.pages = pages
        self.table = PageTable()
        self.leaving: dict[int, Frame] = {}
        self.arriving: dict[int, trio.Event] = {}
        self.is_over = False
        self.major_faults = self.minor_faults = 0
        self._written: dict[int, int] = {}  # what a page must read as

    # Access.

    async def touch(self, caller: Caller, page: int, write: bool) -> int:
        """Read or write one page; its version, which every write increases by one. A fault waits.

        Raises:
            IndexError: there is no such page.
        """
        if not 0 <= page < self.pages:
            raise IndexError(f"page {page} of {self.owner}: there are {self.pages}")
        while (frame := self._translate(caller, page)) is None:
            await self._fault(caller, page)
        frame.is_referenced = True
        require(
            frame.content == self._written.get(page, 0),
            LAST_WRITE,
            f"page {page} of {self.owner} is {frame.content}, and {self._written.get(page, 0)} was written",
        )
        if write:
            frame.content += 1
            frame.is_dirty = True
            self._written[page] = frame.content
        return frame.content

    def end(self) -> None:
        """The process is over: its frames and slots are free. None of its threads is in a fault."""
        self.is_over = True
        self.memory.translations.forget(self.number)
        for page, entry in self.table:
            # A frame that is busy is freed by the one who empties it.
            if entry.frame is not None and not entry.frame.is_busy:
                self.memory.frames.put(entry.frame)
            entry.frame = None
            if page not in self.leaving:
                self._free_slot(entry)

    def _translate(self, caller: Caller, page: int) -> Frame | None:
        """As a core does it: what it remembers, else what the table says."""
        translations, key = self.memory.translations, (self.number, page)
        frame = translations.find(caller.core, key)
        if frame is None:
            caller.spend(self.memory.settings.walk_seconds)
            entry = self.table.find(page)
            frame = None if entry is None else entry.frame
            if frame is not None:
                translations.learn(caller.core, key, frame)
        return frame

    # Faults.

    async def _fault(self, caller: Caller, page: int) -> None:
        """Bring a page in. It may have left again when the caller has a core."""
        caller.spend(self.memory.settings.fault_seconds)
        entry = self.table.entry(page)
        if (arrived := self.arriving.get(page)) is not None:
            self.minor_faults += 1
            async with caller.waits(f"page {page}"):
                await arrived.wait()
        elif (frame := self.leaving.get(page)) is not None:
            self.minor_faults += 1
            used("page came back on its way out")
            entry.frame = frame
        elif entry.slot is None and (frame := self.memory.reclaim.at_once(self, page)) is not None:
            self.minor_faults += 1
            used("page of zeros")
            self._map(entry, frame, 0)
        else:
            async with caller.waits(f"page {page}"):
                await self._bring(entry, page)

    async def _bring(self, entry: Entry, page: int) -> None:
        arrived = self.arriving[page] = trio.Event()
        try:
            frame = await self.memory.reclaim.frame(self, page)
            if entry.slot is None:
                self.minor_faults += 1
                used("page of zeros")
                self._map(entry, frame, 0)
            else:
                self.major_faults += 1
                used("page read from the swap area")
                self._map(entry, frame, await self.memory.swap.read(entry.slot, self.owner))
        finally:
            del self.arriving[page]
            arrived.set()

    def _map(self, entry: Entry, frame: Frame, content: int) -> None:
        frame.content = content
        frame.is_busy = False
        entry.frame = frame

    # Leaving, as `frames.Tenant`.

    def holds(self, page: Any) -> Frame | None:
        """See `Tenant`."""
        entry = self.table.find(page)
        return None if entry is None else entry.frame

    async def evict(self, frame: Frame) -> bool:
        """See `Tenant`."""
        page: int = frame.page
        entry = self.table.entry(page)
        slot = self._slot(entry) if frame.is_dirty else None
        entry.frame = None
        self.leaving[page] = frame
        await self.memory.translations.shoot_down((self.number, page))
        if entry.frame is None and frame.is_dirty and not self.is_over:
            frame.is_dirty = False
            used("page swapped out")
            await self.swap_out(page, self._slot(entry) if slot is None else slot, frame.content)
        else:
            used("page dropped without a write")
            del self.leaving[page]
        if self.is_over:
            self._free_slot(entry)
        return self.is_over or entry.frame is not frame

    async def swap_out(self, page: int, slot: int, content: int) -> None:
        """Return when a page is in its slot, and no longer to be found in memory."""
        await self.memory.swap.write(slot, content)
        del self.leaving[page]

    def _slot(self, entry: Entry) -> int:
        if entry.slot is None:
            entry.slot = self.memory.swap.take()
        return entry.slot

    def _free_slot(self, entry: Entry) -> None:
        if entry.slot is not None:
            self.memory.swap.put(entry.slot)
            entry.slot = None
