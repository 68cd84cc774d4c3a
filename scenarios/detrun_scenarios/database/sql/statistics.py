"""`Statistics`: what ANALYZE finds out about a table, by reading all of it.

Of each column the share of NULLs, the number of distinct values, and a histogram whose buckets have as many rows each;
of each index how many keys it has by its first columns, and how far the order of its keys is that of the pages. A table
that was not analyzed is taken to have what PostgreSQL takes it to have.

Sources: Piatetsky-Shapiro and Connell, SIGMOD 1984 (buckets of equal depth); the defaults are those of PostgreSQL's
``selfuncs.h``.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from typing import Any

from detrun_scenarios.database.sql.evaluation import order_key, plain
from detrun_scenarios.database.transactions.store import Store
from detrun_scenarios.database.transactions.table import Index, Table
from detrun_scenarios.database.transactions.transaction import Found, Transaction
from detrun_scenarios.database.tree.keys import SqlValue, entry_of

BUCKETS = 20
DISTINCT = 200.0  # of a column of which nothing is known
INEQUALITY = 1 / 3
ROW_BYTES = 64  # of a table of which nothing is known
PAGES_MIN = 10.0  # of such a table: it is likely to grow
GROWING = 0.1  # if so many of a table's values differ, there will be more of them when there are more rows
FILLED = math.log(2.0)  # share of a leaf that is full, where entries come in no order (Yao 1978)
SLOT_BYTES = 4


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """What is known of a column.

    Attributes:
        distinct: values beside NULL.
        bounds: of the buckets of the histogram, in order; none if there are no values.
    """

    distinct: float = DISTINCT
    null_share: float = 0.0
    bounds: tuple[SqlValue, ...] = ()

    def share_equal(self, value: SqlValue) -> float:
        """The share of rows with a value: that of an average one, or as many buckets as it fills."""
        if value is None:
            return 0.0
        keys = list(map(order_key, self.bounds))
        filled = max(bisect_right(keys, order_key(value)) - bisect_left(keys, order_key(value)) - 1, 0)
        share = max(1.0 / max(self.distinct, 1.0), filled / max(len(keys) - 1, 1))
        return (1.0 - self.null_share) * min(share, 1.0)

    def share_below(self, value: Any, *, is_included: bool) -> Any:
        """The share of rows with a lesser value, or an equal one if that is included. NULLs are not among them.

        A number that is a `Value` gives one: within a bucket the share grows evenly.
        """
        exact = plain(value)
        if exact is None:
            return 0.0
        keys = list(map(order_key, self.bounds))
        place = (bisect_right if is_included else bisect_left)(keys, order_key(exact))
        if not keys or place in (0, len(keys)):
            return (1.0 - self.null_share) * (INEQUALITY if not keys else float(place > 0))
        low, high = self.bounds[place - 1], self.bounds[place]
        within: Any = 0.5
        if isinstance(low, int | float) and isinstance(high, int | float) and not isinstance(exact, str):
            within = (value - low) / (high - low) if high > low else float(is_included)
        return (1.0 - self.null_share) * (place - 1 + within) / (len(keys) - 1)


@dataclass(frozen=True, slots=True)
class IndexStatistics:
    """What is known of an index.

    Attributes:
        distinct: keys by the first column, by the first two, and so on.
        leaves: pages.
        correlation: of the order of its entries with that of their rows on the pages, -1 to 1.
    """

    distinct: tuple[float, ...]
    leaves: float = 1.0
    correlation: float = 0.0


@dataclass(frozen=True, slots=True)
class Statistics:
    """What is known of a table; what is missing is taken to be as PostgreSQL takes it."""

    rows: float
    pages: float
    columns: Mapping[str, ColumnStatistics] = field(default_factory=dict)
    indexes: Mapping[str, IndexStatistics] = field(default_factory=dict)

    @classmethod
    def unknown(cls, table: Table) -> Statistics:
        """Of a table that was not analyzed, or was empty then."""
        pages = max(float(len(table.heap.pages)), PAGES_MIN)
        return cls(pages * table.heap.changes.pool.volume.page_bytes / ROW_BYTES, pages)

    def now(self, table: Table) -> Statistics:
        """With the pages that the table has by now: there are as many rows on a page as there were."""
        pages = float(len(table.heap.pages))
        if not self.rows:
            return Statistics.unknown(table)
        if pages == self.pages:
            return self
        rows = self.rows * pages / self.pages

        def grown(distinct: float) -> float:
            return distinct * rows / self.rows if distinct > GROWING * self.rows else min(distinct, rows)

        columns = {name: replace(one, distinct=grown(one.distinct)) for name, one in self.columns.items()}
        indexes = {
            name: replace(one, distinct=tuple(map(grown, one.distinct)), leaves=one.leaves * pages / self.pages)
            for name, one in self.indexes.items()
        }
        return Statistics(rows, pages, columns, indexes)

    def column(self, name: str) -> ColumnStatistics:
        """Of one column."""
        found = self.columns.get(name)
        return ColumnStatistics(distinct=min(DISTINCT, max(self.rows, 1.0))) if found is None else found

    def index(self, table: Table, index: Index) -> IndexStatistics:
        """Of one index; by default its columns are independent."""
        found = self.indexes.get(index.name)
        if found is not None:
            return found
        distinct: list[float] = []
        for place in index.places:
            keys = (distinct[-1] if distinct else 1.0) * self.column(table.columns[place]).distinct
            distinct.append(min(keys, max(self.rows, 1.0)))
        if index.is_unique:
            distinct[-1] = max(self.rows, 1.0)
        return IndexStatistics(tuple(distinct), max(self.pages / 4, 1.0))


async def analyzed(store: Store, table: Table, reading: Transaction | None = None) -> Statistics:
    """The statistics of a table, read in a transaction of its own, which no other one conflicts with.

    Args:
        reading: that transaction, which ends here; a new one if none is given.
    """
    reading = Transaction(store, "snapshot") if reading is None else reading
    found = await reading.scan(table)
    await reading.commit()
    columns = {name: column_statistics([one.row[place] for one in found]) for place, name in enumerate(table.columns)}
    page_bytes = store.changes.pool.volume.page_bytes
    indexes = {name: index_statistics(index, found, page_bytes) for name, index in table.indexes.items()}
    return Statistics(float(len(found)), float(len(table.heap.pages)), columns, indexes)


def column_statistics(values: Sequence[SqlValue]) -> ColumnStatistics:
    """Of a column with these values."""
    there = sorted((value for value in values if value is not None), key=order_key)
    if not there:
        return ColumnStatistics(0.0, float(bool(values)))
    buckets = min(BUCKETS, len(there))
    bounds = tuple(there[(len(there) - 1) * place // buckets] for place in range(buckets + 1))
    distinct = sum(1 for _ in groupby(map(order_key, there)))
    return ColumnStatistics(float(distinct), 1.0 - len(there) / len(values), bounds)


def index_statistics(index: Index, found: Sequence[Found], page_bytes: int) -> IndexStatistics:
    """Of an index that leads to these rows, which are in the order of their pages."""
    entries = sorted((entry_of(index.key(one.row), one.address), place) for place, one in enumerate(found))
    places = [place for _, place in entries]
    rows = [found[place].row for place in places]
    distinct = tuple(float(_runs(rows, index.places[:length])) for length in range(1, len(index.places) + 1))
    entry_bytes = sum(len(entry) + SLOT_BYTES for entry, _ in entries)
    leaves = math.ceil(entry_bytes / (FILLED * page_bytes))
    return IndexStatistics(distinct, max(float(leaves), 1.0), _rank_correlation(places))


def _runs(rows: Sequence[tuple[SqlValue, ...]], places: Sequence[int]) -> int:
    """How many different values sorted rows have at some places."""
    keys: Iterator[list[SqlValue]] = ([row[place] for place in places] for row in rows)
    return int(bool(rows)) + sum(one != other for one, other in pairwise(keys))


def _rank_correlation(places: Sequence[int]) -> float:
    """Spearman's, of a permutation with the identity."""
    count = len(places)
    if count < 2:
        return 1.0
    apart = sum((rank - place) ** 2 for rank, place in enumerate(places))
    return float(1.0 - 6.0 * apart / (count * (count * count - 1.0)))
