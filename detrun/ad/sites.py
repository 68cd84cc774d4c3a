"""Discontinuity sites: the places where a run compared numbers, with the margins of the closest comparisons.

A *margin* is ``left - right`` of a comparison; the outcome flips when it crosses zero. Per site (a kind at a source
line, or at a described place) we keep the number of passes and the ``NEAREST_PER_SITE`` smallest margins, each with the
ids needed for its derivative. Memory is bounded by the number of distinct sites, never by the length of the run.

What is lost by the bound: a pass with a wider margin but a much larger derivative might flip first. Eight margins per
site, not one, make that unlikely; `validity` says so in its result's description.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any, ClassVar, NamedTuple

from detrun.ad.source_lines import Place, shown

NEAREST_PER_SITE = 8
CONSTANT = -1


class Margin(NamedTuple):
    """One close pass: ``value = left + right_weight * right + constant``; id `CONSTANT` where a side is a number."""

    value: float
    left_id: int
    right_id: int
    right_weight: float

    @classmethod
    def between(cls, value: float, left: Any, right: Any, right_weight: float) -> Margin:
        """The margin of two sides, Values or numbers."""
        return cls(value, getattr(left, "id", CONSTANT), getattr(right, "id", CONSTANT), right_weight)

    def seeds(self) -> dict[int, float]:
        """``d margin / d id``: the adjoints with which a reverse sweep gives the margin's gradient."""
        seeds: dict[int, float] = {}
        if self.left_id != CONSTANT:
            seeds[self.left_id] = 1.0
        if self.right_id != CONSTANT:
            seeds[self.right_id] = seeds.get(self.right_id, 0.0) + self.right_weight
        return seeds


class Site:
    """A place where the run was decided by a comparison: how often passed, and the closest passes, closest first."""

    __slots__ = ("count", "description", "kind", "nearest", "place", "widest_kept")

    def __init__(self, kind: str, place: Place | None, description: str | None) -> None:
        self.kind = kind
        self.place = place
        self.description = description
        self.count = 0
        self.nearest: list[Margin] = []
        self.widest_kept = inf

    def keep(self, margin: Margin) -> None:
        """Insert a margin closer than the widest kept, and drop that one if there are too many."""
        nearest = self.nearest
        position = len(nearest)
        while position and abs(nearest[position - 1].value) > abs(margin.value):
            position -= 1
        nearest.insert(position, margin)
        if len(nearest) > NEAREST_PER_SITE:
            nearest.pop()
        if len(nearest) == NEAREST_PER_SITE:
            self.widest_kept = abs(nearest[-1].value)

    @property
    def where(self) -> str:
        """The description, or ``file:line``."""
        return self.description if self.description is not None else shown(self.place)

    @property
    def is_tied(self) -> bool:
        """Whether a `Value` passed it with a margin of zero."""
        return any(margin.value == 0.0 and margin.seeds() for margin in self.nearest)

    def __str__(self) -> str:
        return f"{self.kind}: {self.description}" if self.description is not None else f"{self.kind} at {self.where}"


class Sites:
    """All sites passed while one tape was on, in order of first pass.

    Attributes:
        count: of all passes.
        kept_per_site: how many passes of a site matter, the nearest; None if each does.
    """

    __slots__ = ("_by_key", "count")
    kept_per_site: ClassVar[int | None] = NEAREST_PER_SITE

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, Place | None, str | None], Site] = {}
        self.count = 0

    def __iter__(self) -> Iterator[Site]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)

    def add(
        self,
        kind: str,
        place: Place | None,
        description: str | None,
        margin: float,
        left: Any,
        right: Any,
        right_weight: float,
    ) -> Site:
        """Note a pass with ``margin = left + right_weight * right + constant``; the sides are Values or numbers."""
        self.count += 1
        key = (kind, place, description)
        found = self._by_key.get(key)
        if found is None:
            found = self._by_key[key] = Site(kind, place, description)
        found.count += 1
        # False for nan and infinity too, which no parameter can bring to zero. Ties keep the earlier pass.
        if abs(margin) < found.widest_kept:
            found.keep(Margin.between(margin, left, right, right_weight))
        return found

    def add_wider(self, kind: str, place: Place | None, passes: int) -> None:
        """So many more passes of a site, none of which is among the nearest."""
        self.count += passes
        self._by_key[(kind, place, None)].count += passes

    def nearest(self, count: int) -> list[tuple[Site, Margin]]:
        """The ``count`` closest sites with their closest passes, closest first, ties in order of first pass."""
        passes = [(site, site.nearest[0]) for site in self if site.nearest]
        passes.sort(key=lambda one: abs(one[1].value))
        return passes[:count]

    def _check(self) -> None:
        assert self.count == sum(site.count for site in self)
        for site in self:
            widths = [abs(margin.value) for margin in site.nearest]
            assert widths == sorted(widths)
            assert len(widths) <= min(NEAREST_PER_SITE, site.count)
