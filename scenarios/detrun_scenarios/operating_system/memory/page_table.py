"""`PageTable`: where the pages of an address space are, as a tree of two levels.

A table of the lower level is made when the first of its pages is wanted, so that a large space with few pages takes
little room.
"""

from __future__ import annotations

from collections.abc import Iterator

from detrun_scenarios.operating_system.memory.frames import Frame

TABLE_ENTRIES = 64


class Entry:
    """One page.

    Attributes:
        frame: in which it is; None if it is not present.
        slot: of the swap area, once it has one.
    """

    __slots__ = ("frame", "slot")

    def __init__(self) -> None:
        self.frame: Frame | None = None
        self.slot: int | None = None


class PageTable:
    """See the module."""

    def __init__(self) -> None:
        self._tables: dict[int, list[Entry]] = {}

    @property
    def tables(self) -> int:
        """How many there are of the lower level."""
        return len(self._tables)

    def find(self, page: int) -> Entry | None:
        """The entry of a page, as hardware looks for it; None if its table was not made."""
        table = self._tables.get(page // TABLE_ENTRIES)
        return None if table is None else table[page % TABLE_ENTRIES]

    def entry(self, page: int) -> Entry:
        """The entry of a page, made if it has to be."""
        directory, place = divmod(page, TABLE_ENTRIES)
        if directory not in self._tables:
            self._tables[directory] = [Entry() for _ in range(TABLE_ENTRIES)]
        return self._tables[directory][place]

    def __iter__(self) -> Iterator[tuple[int, Entry]]:
        """All pages and their entries, in order."""
        for directory in sorted(self._tables):
            for place, entry in enumerate(self._tables[directory]):
                yield directory * TABLE_ENTRIES + place, entry
