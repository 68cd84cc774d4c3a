"""What ways to find rows are estimated to cost, in units of one page read in order.

Rows on pages are met anew, or on a page that is in the buffer pool already; how many pages are read for so many rows is
Mackert and Lohman's approximation. Where the order of an index is that of the pages, its rows are read in order; in
between the cost is, too, by the square of the correlation.

Sources: Selinger et al., "Access path selection in a relational database management system", SIGMOD 1979; Mackert and
Lohman, "Index scans using a finite LRU buffer", ACM TODS 1989; names and defaults of the constants, the use of the
correlation and the cost of a part of the rows are PostgreSQL's (``costsize.c``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from detrun.ad.value import primal_of


@dataclass(frozen=True, slots=True)
class Costs:
    """What reading is taken to cost; numbers or `Value`s."""

    seq_page_cost: Any = 1.0
    random_page_cost: Any = 4.0
    cpu_tuple_cost: Any = 0.01

    def scan(self, pages: float, rows: float) -> Any:
        """All pages of a table, in order."""
        return self.seq_page_cost * pages + self.cpu_tuple_cost * rows

    def by_index(
        self, entries: Any, leaves: Any, pages: float, rows: float, correlation: float, cache: float, times: Any = 1.0
    ) -> Any:
        """So many entries of an index and their rows, one of so many readings.

        Args:
            leaves: pages of the index that are read.
            pages, rows: of the whole table.
            cache: pages of the table that stay in memory.
        """
        most = self.random_page_cost * pages_fetched(entries * times, pages, cache) / times
        in_order = entries * (pages / max(rows, 1.0))
        least = self.random_page_cost * _least(in_order, 1.0) + self.seq_page_cost * _above(in_order, 1.0)
        share = correlation * correlation
        of_rows = least * share + most * (1.0 - share)
        return self.random_page_cost * leaves + of_rows + self.cpu_tuple_cost * entries

    def sort(self, rows: Any) -> Any:
        """So many rows: half a row's work for each comparison."""
        count = max(primal_of(rows), 2.0)
        return self.cpu_tuple_cost * 0.5 * rows * math.log2(count)


def pages_fetched(entries: Any, pages: float, cache: float) -> Any:
    """How many pages are read for so many entries that lie anywhere, with room for ``cache`` pages."""
    pages = max(pages, 1.0)
    found = 2.0 * pages * entries / (2.0 * pages + entries)
    if pages <= cache:
        return _least(found, pages)
    filling = 2.0 * pages * cache / (2.0 * pages - cache)
    if primal_of(entries) <= filling:
        return found
    return cache + (entries - filling) * ((pages - cache) / pages)


def _least(a: Any, b: float) -> Any:
    # Continuous where the two are equal, so there is no jump that a comparison of `Value`s would report.
    return a if primal_of(a) < b else b


def _above(a: Any, b: float) -> Any:
    return a - b if primal_of(a) > b else 0.0
