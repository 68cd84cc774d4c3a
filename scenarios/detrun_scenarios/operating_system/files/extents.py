"""`Extents`: where the pages of files lie. A file is made of extents of consecutive pages.

The disk is divided into groups. A file grows within the group in which it began, as long as there is room; files that
are made one after the other begin in different groups, far from each other.

Source: McKusick et al., "A fast file system for UNIX", ACM TOCS 2(3), 1984 (cylinder groups).
"""

from __future__ import annotations

EXTENT_PAGES = 64
GROUPS = 16


class Extents:
    """See the module.

    Args:
        first, end: of the pages of the disk that are for files.
    """

    def __init__(self, first: int, end: int) -> None:
        count = (end - first) // EXTENT_PAGES
        each = count // GROUPS
        self.first = first
        self._free = [list(range((group + 1) * each - 1, group * each - 1, -1)) for group in range(GROUPS)]
        self._files: dict[str, list[int]] = {}
        self._group: dict[str, int] = {}

    def block(self, name: str, page: int) -> int:
        """Where a page of a file lies; the file grows if it has to."""
        extents = self._files.setdefault(name, [])
        group = self._group.setdefault(name, len(self._group) % GROUPS)
        while len(extents) <= page // EXTENT_PAGES:
            extents.append(self._take(group))
        return self.first + extents[page // EXTENT_PAGES] * EXTENT_PAGES + page % EXTENT_PAGES

    def _take(self, group: int) -> int:
        for distance in range(GROUPS):
            if free := self._free[(group + distance) % GROUPS]:
                return free.pop()
        raise OSError("the disk is full of files; make it larger (Geometry.tracks)")
