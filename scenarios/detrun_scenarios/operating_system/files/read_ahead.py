"""`Window`: how far a reader of a file is read ahead of.

One who reads pages in order gets a small window at first, and then ever larger ones, up to the most that is allowed.
When the reader comes to the mark in the last window the next one is asked for, so that it is there when it is wanted.
One who jumps gets what was asked for.

Source: Linux 6.1, `mm/readahead.c` (`ondemand_readahead`, `get_init_ra_size`, `get_next_ra_size`), without its search
for interleaved readers: each reader of a file has a window of its own, as with an open file of its own.
"""

from __future__ import annotations


class Window:
    """Of one reader of one file.

    Args:
        most: pages of a window.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._last = -1
        self._start = self._size = 0
        self._mark = -1

    def pages(self, page: int, is_there: bool) -> range:
        """The pages to be read now that one is wanted: with it, or ahead of it if it ``is_there``."""
        follows, self._last = page - self._last in (0, 1), page
        if page == self._mark:
            self._start += self._size
            self._size = self._next_size()
            self._mark = self._start
            return range(max(self._start, page + 1 if is_there else page), self._start + self._size)
        if is_there:
            return range(0)
        if not follows or self.most < 2:
            return range(page, page + 1)
        self._start, self._size = page, self._first_size()
        self._mark = page + 1
        return range(page, page + self._size)

    def _first_size(self) -> int:
        if self.most >= 32:
            return 4
        return 2 if self.most >= 4 else self.most

    def _next_size(self) -> int:
        if self._size < self.most // 16:
            return 4 * self._size
        return min(2 * self._size, self.most)
