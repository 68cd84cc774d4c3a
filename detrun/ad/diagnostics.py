"""Diagnostics of a gradient: entries, sites passed, closest margins, detachments, growth of adjoints."""

from __future__ import annotations

import linecache
import os
import resource
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

from detrun.ad.growth import AdjointGrowth
from detrun.ad.moving_notes import MovingNotes
from detrun.ad.tape import Tape

RUSAGE_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in what getrusage counts


def peak_bytes() -> int:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RUSAGE_UNIT


@dataclass(frozen=True, slots=True)
class NearMargin:
    """A discontinuity site, for reading: which kind, where, how close its closest pass was, and how often it passed."""

    kind: str
    where: str
    margin: float
    passes: int

    @property
    def code(self) -> str:
        """The text of the line, empty if ``where`` is no line of a source file that can be read."""
        file, _, line = self.where.rpartition(":")
        return linecache.getline(file, int(line)).strip() if file and line.isdecimal() else ""

    def __str__(self) -> str:
        where = self.where.removeprefix(os.getcwd() + os.sep)
        often = f" ({self.passes:,} passes)" if self.passes > 1 else ""
        at = f" at {where}:  {self.code}" if self.code else f": {where}"
        return f"{self.margin:.3g}  {self.kind}{at}{often}"


def nearest_places(margins: Iterable[NearMargin], most: int) -> list[NearMargin]:
    """The ``most`` closest places of ``margins``, closest first, each with all passes that were counted there."""
    found: dict[tuple[str, str], NearMargin] = {}
    for one in margins:
        known = found.get((one.kind, one.where))
        if known is not None:
            margin = min(known.margin, one.margin, key=abs)
            one = NearMargin(one.kind, one.where, margin, known.passes + one.passes)
        found[one.kind, one.where] = one
    return sorted(found.values(), key=lambda one: abs(one.margin))[:most]


@dataclass(slots=True)
class Diagnostics:
    """Facts about one gradient; the caller may add fields of its own by subclassing."""

    entries: int = 0
    sites_passed: int = 0
    nearest_margins: list[NearMargin] = field(default_factory=list)
    detachments: list[tuple[str, int, int]] = field(default_factory=list)
    """(file, line, count) of every place where user code took the bare number out of a Value, in order of place."""
    adjoint_growth: list[tuple[int, float]] = field(default_factory=list)
    """(first id, largest adjoint) per segment, from the loss back."""
    warnings: list[str] = field(default_factory=list)

    def detachment_warnings(self) -> list[str]:
        """One warning if there are detachments, none otherwise."""
        if not self.detachments:
            return []
        file, line, count = self.detachments[0]
        others = len(self.detachments) - 1
        more = f" and at {others} more places" if others else ""
        return [f"the bare number was taken out of a Value at {file}:{line} ({count} times){more}"]


def diagnose(
    tapes: Iterable[Tape | MovingNotes], growth: AdjointGrowth | None = None, nearest_max: int = 5
) -> Diagnostics:
    """Collect diagnostics over the tapes of one gradient: one whole tape, or one per window."""
    result = Diagnostics()
    passes: list[NearMargin] = []
    detachments: dict[tuple[str, int], int] = {}
    for tape in tapes:
        result.entries += len(tape) if isinstance(tape, Tape) else 0
        result.sites_passed += tape.sites.count
        passes += [
            NearMargin(site.kind, site.where, margin.value, site.count)
            for site, margin in tape.sites.nearest(nearest_max)
        ]
        for place, count in tape.detachments.items():
            detachments[place] = detachments.get(place, 0) + count
    result.nearest_margins = nearest_places(passes, nearest_max)
    result.detachments = [(file, line, count) for (file, line), count in sorted(detachments.items())]
    if growth is not None:
        result.adjoint_growth = growth.segments()
        verdict = growth.verdict()
        if verdict is not None:
            result.warnings.append(verdict)
    return result
