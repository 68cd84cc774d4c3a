"""A table of which few rows get most of the reads, and that does not fit into memory.

Source: keys by Zipf's law, as in YCSB's workload C (Cooper et al., SoCC 2010), scattered over the pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import detrun
from detrun_scenarios.database.server.application import Application, Shape, Work
from detrun_scenarios.database.workload.terminals import Ask

STEP = 37  # from one rank to the next; prime to the number of rows
FILL_STEP = 113  # from one row to the next on a page; the same


@dataclass(frozen=True, slots=True)
class Skew:
    """The table and the reads.

    Attributes:
        frames: of the server; a page has about seven rows, and there are half as many pages of the index.
        exponent: of Zipf's law: the row of rank r is read in proportion to r to the minus this.
        range_share: of the reads, that are of rows whose keys follow each other, up to `range_max` of them: by the
            index and a page of the heap for each, or by a look at all rows.
        scan_share: of the reads, that look at all rows in any case.
    """

    rows: int = 300
    frames: int = 40
    exponent: float = 0.99
    range_share: float = 0.1
    range_max: int = 24
    scan_share: float = 0.02

    async def fill(self, work: Work) -> None:
        """Put all rows in, in no order: those whose keys follow each other are on different pages."""
        for place in range(self.rows):
            key = place * FILL_STEP % self.rows
            await work.insert("record", key, f"{key:040d}", key % 10)

    def application(self) -> Application:
        """The database."""
        shape = Shape("record", ("key", "text", "class"), {"id": ("key",)})
        return Application((shape,), self.fill, {"read": read, "read_range": read_range, "count": count})

    def ask(self) -> Ask:
        """The mix."""
        weights = [(rank + 1) ** -self.exponent for rank in range(self.rows)]

        def ask(client: str, number: int) -> tuple[str, list[Any]]:
            kind = detrun.uniform(0.0, 1.0)
            if kind < self.scan_share:
                return "count", [detrun.choice(10)]
            key = detrun.choice(self.rows, weights) * STEP % self.rows
            if kind < self.scan_share + self.range_share:
                return "read_range", [key, key + 1 + detrun.choice(self.range_max)]
            return "read", [key]

        return ask


async def read(work: Work, arguments: Sequence[Any]) -> str:
    """The text of one row."""
    ((text,),) = await work.query("SELECT text FROM record WHERE key = ?", *arguments)
    assert isinstance(text, str)
    return text


async def read_range(work: Work, arguments: Sequence[Any]) -> int:
    """How many rows there are from a key up to another."""
    return len(await work.query("SELECT text FROM record WHERE key >= ? AND key < ?", *arguments))


async def count(work: Work, arguments: Sequence[Any]) -> int:
    """How many rows are of a class."""
    return len(await work.query("SELECT key FROM record WHERE class = ?", *arguments))
