"""`FreePages`: pages that belong to nothing any more, until they are used again.

A task that has seen a way to a page before it was freed may still follow it, and finds it as it was. So a page is used
again only when all transactions that went on then have ended. It stays in its area, since a frame of it may be in the
pool.

A page says itself that it is free (its kind), so that freeing and using one again are records of the log like others;
this list is in memory. A checkpoint has it, and recovery brings it up to date from the records that follow.

Source: PostgreSQL frees pages of its B-trees so, after Lanin and Shasha, "A symmetric concurrent B-tree algorithm",
1986.
"""

from __future__ import annotations

from collections.abc import Mapping

from detrun_scenarios.database.storage.buffer import AREAS, Area


class FreePages:
    """See the module."""

    def __init__(self) -> None:
        self._free: dict[Area, dict[int, int]] = {area: {} for area in AREAS}  # page -> the first number begun later
        self._taken: dict[int, Area] = {}

    def free(self, page_id: int, area: Area, next_number: int) -> None:
        """A page is free; transactions from ``next_number`` on cannot have seen a way to it."""
        self._free[area][page_id] = next_number

    def take(self, area: Area, oldest: int) -> int | None:
        """A page to be used again, now that no transaction before ``oldest`` goes on; None if there is none."""
        for page_id, next_number in self._free[area].items():
            if next_number <= oldest:
                del self._free[area][page_id]
                self._taken[page_id] = area
                return page_id
        return None

    def used(self, page_id: int) -> None:
        """The log says what a page is used for."""
        self._taken.pop(page_id, None)
        for pages in self._free.values():
            pages.pop(page_id, None)

    def all(self) -> dict[int, Area]:
        """Page -> area, of pages that the log does not say are used."""
        return {**self._taken, **{page_id: area for area, pages in self._free.items() for page_id in pages}}

    def restore(self, pages: Mapping[int, Area]) -> None:
        """These are free, and all others are not; no transaction goes on."""
        self._taken.clear()
        for area in AREAS:
            self._free[area] = {page_id: 0 for page_id, its_area in pages.items() if its_area == area}
