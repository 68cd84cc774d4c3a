"""Where rows lie: an order of the heap with two weights, between keys that follow each other and rows that are hot.

Rows are put on pages in the order of a number that each has::

    by_key * key / rows + by_heat * rank / rows + noise

The rank is by how often a row is read, and the noise is uniform on [0, 1). With both weights 0 rows lie as they came.
With one of them large the heap is clustered by key, as after PostgreSQL's CLUSTER, so that a range lies on few pages;
or by heat, so that the rows that most reads want share few pages and stay in memory. One heap cannot be both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import detrun
from detrun.ad.value import primal_of
from detrun_scenarios.database.server.application import Work
from detrun_scenarios.database.workload.skewed import STEP, Skew
from detrun_scenarios.database.workload.terminals import Ask


def rank_of_key(rows: int) -> list[int]:
    """By key, how many rows are read more often."""
    found = [0] * rows
    for rank in range(rows):
        found[rank * STEP % rows] = rank
    return found


def ordered(rows: int, by_key: float, by_heat: float, noise: Sequence[float]) -> list[int]:
    """The keys in the order in which they lie; of equals the lesser key first."""
    ranks = rank_of_key(rows)
    return sorted(range(rows), key=lambda key: (by_key * key / rows + by_heat * ranks[key] / rows + noise[key], key))


def drawn_noise(rows: int) -> list[float]:
    """Of each key, in this run; the same whenever it is asked for."""
    return [float(detrun.uniform(key=("lies", key))) for key in range(rows)]


@dataclass(frozen=True, slots=True)
class Hours:
    """What is read in a part of the day: shares of ranges and of looks at all rows; the rest are single rows."""

    ranges: float
    scans: float


POINTS, RANGES = Hours(0.05, 0.0), Hours(0.5, 0.02)


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid(Skew):
    """The skewed table of the scenario `database`, laid out by weights, and read by a mix that changes.

    Attributes:
        by_key, by_heat: see the module; Values, whose order is that of their numbers.
        phase: so many reads of a client until the mix changes from points to ranges, or back.
    """

    by_key: Any = 0.0
    by_heat: Any = 0.0
    phase: int = 20

    async def fill(self, work: Work) -> None:
        """Put all rows in, in the order of the layout."""
        for key in ordered(self.rows, primal_of(self.by_key), primal_of(self.by_heat), drawn_noise(self.rows)):
            await work.insert("record", key, text_of(key), key % 10)

    def ask(self) -> Ask:
        """The mix, by the number of the read; what is drawn has keys, so that runs that differ are asked the same."""
        weights = [(rank + 1) ** -self.exponent for rank in range(self.rows)]

        def ask(client: str, number: int) -> tuple[str, list[Any]]:
            hours = POINTS if (number - 1) // self.phase % 2 == 0 else RANGES
            kind, length = (float(detrun.uniform(key=(what, client, number))) for what in ("kind", "length"))
            if kind < hours.scans:
                return "count", [detrun.choice(10, key=("class", client, number))]
            key = detrun.choice(self.rows, weights, key=("row", client, number)) * STEP % self.rows
            if kind < hours.scans + hours.ranges:
                return "read_range", [key, key + 1 + int(length * self.range_max)]
            return "read", [key]

        return ask

    def answer(self, name: str, arguments: Sequence[Any]) -> Any:
        """What a client must be told, whatever the layout and the plan."""
        if name == "read":
            return text_of(arguments[0])
        if name == "read_range":
            return min(arguments[1], self.rows) - arguments[0]
        return len(range(arguments[0], self.rows, 10))


def text_of(key: int) -> str:
    """Of a row."""
    return f"{key:040d}"
