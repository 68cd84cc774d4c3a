"""Three classes of objects that share the memory, and the origin that has them all.

The popularity of the objects of a class is Zipf's: the k-th is asked for in proportion to k**-exponent. An object has a
new version after every period, counted from a moment of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.studies.distributed_cache.ring import place

MEMORY = 160.0  # objects, on all nodes


@dataclass(frozen=True, slots=True)
class Tenant:
    """One class.

    Attributes:
        rate: requests for each second.
        objects: that there are.
        exponent: of the popularity.
        period: seconds for which a version is current.
        origin_seconds: mean time of a fetch.
    """

    name: str
    rate: float
    objects: int
    exponent: float
    period: float
    origin_seconds: float

    def key(self, rank: int) -> str:
        """Of the object that is so popular; 0 is the most popular one."""
        return f"{self.name} {rank}"

    def popularity(self) -> list[float]:
        """Shares of the requests, by rank."""
        weights = [(rank + 1) ** -self.exponent for rank in range(self.objects)]
        return [one / math.fsum(weights) for one in weights]

    def version(self, key: str, now: Any) -> int:
        """Of an object, at the origin."""
        return math.floor(plain(now) / self.period + place(key) / 2**64)


TENANTS = (
    Tenant("pages", 60.0, 200, 0.8, period=40.0, origin_seconds=0.02),
    Tenant("images", 40.0, 400, 0.6, period=400.0, origin_seconds=0.01),
    Tenant("queries", 20.0, 100, 0.7, period=12.0, origin_seconds=0.08),
)
BY_NAME = {one.name: one for one in TENANTS}
