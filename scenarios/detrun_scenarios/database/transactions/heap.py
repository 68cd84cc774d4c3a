"""`Heap`: the versions of one table's rows, on a chain of pages, in no order."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import trio

from detrun_scenarios.database.log.changes import Changes, Trail
from detrun_scenarios.database.log.records import Change
from detrun_scenarios.database.storage.page import FREE, HEAP, NO_PAGE, record_bytes_max
from detrun_scenarios.database.tree.keys import Address


class Heap:
    """See the module. Made by `open_heap` or `create_heap`.

    Attributes:
        pages: the chain.
        read_ahead: pages that a scan reads at once, if they follow each other on the disk.
    """

    def __init__(self, changes: Changes, pages: list[int], read_ahead: int = 1) -> None:
        self.changes = changes
        self.pages = pages
        self.read_ahead = read_ahead
        self._hint = 0  # pages before it are full, or were
        self._extending = trio.Lock()

    async def insert(self, trail: Trail, record: bytes) -> Address:
        """Put a record in, for a transaction.

        Raises:
            ValueError: it is too long for a page.
        """
        pool = self.changes.pool
        if len(record) > record_bytes_max(pool.volume.page_bytes):
            raise ValueError(f"a row of {len(record)} bytes is too long for pages of {pool.volume.page_bytes}")
        while True:
            place = self._hint
            page_id = self.pages[place]
            async with pool.using(page_id, "heap", "exclusive") as frame:
                slot = frame.page.free_slot()
                if frame.page.kind == HEAP and frame.page.has_room(len(record), new_slot=slot == frame.page.slots):
                    self.changes.update(trail, frame, Change("put", slot, record))
                    return Address(page_id, slot)
            if self.pages[self._hint] != page_id:
                continue
            if place + 1 == len(self.pages):
                await self._extend(place + 1)
            self._hint = max(self._hint, min(place + 1, len(self.pages) - 1))

    async def _extend(self, length: int) -> None:
        """Have more than so many pages, as many as there were."""
        pool = self.changes.pool
        async with self._extending:
            if len(self.pages) > length:
                return  # another task was faster
            async with pool.using(self.pages[-1], "heap", "exclusive") as last:
                new = await self.changes.new_page("heap", HEAP)
                last.page.next = new.page_id
                self.changes.restructured("heap", [last, new])
                self.pages.append(new.page_id)
                pool.unpin(new)

    def has_room_again(self, page_id: int) -> None:
        """Something was removed from a page."""
        if page_id in self.pages:
            self._hint = min(self._hint, self.pages.index(page_id))

    async def free_page(self, page_id: int) -> bool:
        """Take a page out of the chain, if nothing is on it and it is not the first one; whether it is free now.

        Those who are on their way to it find it empty, with its link to the next one.
        """
        pool = self.changes.pool
        async with self._extending:
            place = self.pages.index(page_id)
            if not place:
                return False
            async with (
                pool.using(self.pages[place - 1], "heap", "exclusive") as before,
                pool.using(page_id, "heap", "exclusive") as page,
            ):
                if any(True for _ in page.page.records()):
                    return False
                before.page.next = page.page.next
                page.page.kind = FREE
                self.changes.restructured("heap", [page, before])
                self.pages = [one for one in self.pages if one != page_id]
                self._hint = min(self._hint, place - 1)
        return True

    async def get(self, address: Address) -> bytes | None:
        """The record at an address; None if there is none."""
        async with self.changes.pool.using(address.page_id, "heap", "shared") as frame:
            return frame.page.get(address.slot)

    async def each_page(self) -> AsyncGenerator[list[tuple[Address, bytes]], None]:
        """All records, page by page, each page as it was at one moment."""
        pool, pages = self.changes.pool, self.pages
        for place, page_id in enumerate(pages):
            if page_id not in pool.frames:
                await pool.load(pages[place : place + self.read_ahead], "heap")
            async with pool.using(page_id, "heap", "shared") as frame:
                records = list(frame.page.records())
            yield [(Address(page_id, slot), record) for slot, record in records]

    async def scan(self) -> AsyncGenerator[tuple[Address, bytes], None]:
        """The same, one after the other."""
        async with aclosing(self.each_page()) as pages:
            async for page in pages:
                for one in page:
                    yield one


async def create_heap(changes: Changes, read_ahead: int = 1) -> Heap:
    """An empty heap on a new page."""
    frame = await changes.new_page("heap", HEAP)
    changes.restructured("heap", [frame])
    changes.pool.unpin(frame)
    return Heap(changes, [frame.page_id], read_ahead)


async def open_heap(changes: Changes, first: int, read_ahead: int = 1) -> Heap:
    """The heap whose chain begins at a page."""
    pages, page_id = [first], first
    while True:
        async with changes.pool.using(page_id, "heap", "shared") as frame:
            page_id = frame.page.next
        if page_id == NO_PAGE:
            return Heap(changes, pages, read_ahead)
        pages.append(page_id)
