"""What jumps that were not seen may be worth: how wrong an estimate can be without its standard error showing it.

A sample tries a few of the places where the loss may jump. Where jumps are rare among many places, all samples can miss
them; then they agree with each other, about too little. Each place has a *worth*, the rate by which its jump would
count, and is chosen in proportion to it. So of ``n`` tries at sites where the loss never jumped, the share of their
worth that does jump is below ``3 / n`` with 95 % confidence. That share, times the worth that was not tried, times the
size of a jump, is the bound. The size is that of the largest jump that was seen anywhere, or the spread of the loss.

Source: Hanley and Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249 (1983).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from detrun.gradients.sampling.statistics import Estimate

RULE_OF_THREE = 3.0
SAME = 1e-6  # relative: two sides of a place are looked at from so near that smooth losses agree to this
COVERED = 2.0  # standard errors, which a reader allows for anyway
LARGE = 0.25  # of a derivative
SITES_SHOWN = 3


class Place(NamedTuple):
    """Where the loss may jump in a run.

    Attributes:
        site: in words, what tells it from places elsewhere in the program.
        worths: by parameter, the rate by which its jump counts, in units of the parameter.
        chance: that a sample tries it.
    """

    site: str
    worths: Mapping[str, float]
    chance: float


@dataclass(slots=True)
class Looks:
    """What one sample has tried, and what not.

    Attributes:
        untried: by site and parameter, the worth of what is tried by chance only, less what chance gives it.
        jumps: by site, those at the places that were tried, 0 where the loss was the same on both sides.
        places: how many a run has.
    """

    untried: dict[str, dict[str, float]] = field(default_factory=dict)
    jumps: dict[str, list[float]] = field(default_factory=dict)
    places: float = 0.0

    def has(self, place: Place, share: float) -> None:
        """The run has this place, on a line that was looked at with this probability."""
        self.places += 1.0 / share
        if place.chance < 1.0:
            worths = self.untried.setdefault(place.site, {})
            for name, worth in place.worths.items():
                worths[name] = worths.get(name, 0.0) + worth * (1.0 - place.chance) / share

    def tried(self, site: str, below: float, above: float) -> None:
        """The loss on both sides of a place."""
        jump = abs(above - below)
        same = jump <= SAME * max(abs(above), abs(below))
        self.jumps.setdefault(site, []).append(0.0 if same else jump)


@dataclass(frozen=True, slots=True)
class Unseen:
    """What all samples together may have missed.

    Attributes:
        sites: where places were left untried and the loss was not seen to jump, those of most worth first.
        tries: at these sites, in all samples.
        places: of a run, where the loss may jump, on average.
        bounds: by parameter, what is missed at most, with 95 % confidence.
    """

    sites: Sequence[str]
    tries: int
    places: float
    bounds: Mapping[str, float]

    @classmethod
    def of(cls, looks: Sequence[Looks], losses: Sequence[float], units: Mapping[str, float]) -> Unseen:
        """Args:
        losses: of the samples.
        units: by parameter, in what its worths are.
        """
        jumps: dict[str, list[float]] = {}
        for one in looks:
            for site, some in one.jumps.items():
                jumps.setdefault(site, []).extend(some)
        totals: dict[str, dict[str, float]] = {}
        for one in looks:
            for site, worths in one.untried.items():
                if not any(jumps.get(site, ())):
                    of_site = totals.setdefault(site, {})
                    for name, worth in worths.items():
                        of_site[name] = of_site.get(name, 0.0) + worth / len(looks)
        tries = sum(len(jumps.get(site, ())) for site in totals)
        seen = [jump for some in jumps.values() for jump in some]
        size = max([*seen, statistics.pstdev(losses)])
        share = min(1.0, RULE_OF_THREE / tries) if tries else 1.0
        bounds = {
            name: share * size * math.fsum(worths.get(name, 0.0) for worths in totals.values()) / unit
            for name, unit in units.items()
        }
        sites = sorted(totals, key=lambda site: -math.hypot(*totals[site].values()))
        return cls(sites, tries, sum(one.places for one in looks) / len(looks), bounds)

    def missed(self, found: Mapping[str, Estimate]) -> dict[str, float]:
        """The bounds that are large beside the derivatives and that standard errors do not cover."""
        return {
            name: bound
            for name, bound in self.bounds.items()
            if bound > max(COVERED * found[name].std_error, LARGE * abs(found[name].mean))
        }

    def warnings(self, found: Mapping[str, Estimate]) -> list[str]:
        """Of the derivatives whose bounds these are."""
        named = ", ".join(self.sites[:SITES_SHOWN]) + (", ..." if len(self.sites) > SITES_SHOWN else "")
        return [
            f"d/d{name} may be off by up to {bound:.2g}, which its standard error of {found[name].std_error:.2g} does "
            f"not show: the loss of a run may jump at {self.places:,.0f} places, and was not seen to in {self.tries:,} "
            f"tries at {named}. Give more samples or pairs, or hold it against kind='finite'"
            for name, bound in self.missed(found).items()
        ]
