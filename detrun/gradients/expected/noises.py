"""`Noise`: the three laws of the noise beneath a continuous draw, with density and probabilities of intervals.

Every continuous draw of detrun (`uniform`, `exponential`, `normal`, `lognormal`) is a strictly increasing function of
one such noise, and `Law.noise_of` is its inverse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

NEAR = 1e-9  # relative


def near(at: float) -> float:
    """How far from a point its two sides are looked at."""
    return NEAR * max(1.0, abs(at))


@dataclass(frozen=True, slots=True)
class Noise:
    """The law of a noise: see `detrun.primitives.laws.Law.noise`."""

    kind: str

    @property
    def low(self) -> float:
        """Where it begins."""
        return -math.inf if self.kind == "normal" else 0.0

    @property
    def high(self) -> float:
        """Where it ends."""
        return 1.0 if self.kind == "uniform" else math.inf

    @property
    def mean(self) -> float:
        """Its mean."""
        return {"uniform": 0.5, "exponential": 1.0, "normal": 0.0}[self.kind]

    def is_inside(self, at: float) -> bool:
        """Whether the noise can be on both sides of a point.

        What flips where the noise ends, as timers of equal time do at zero, flips nowhere.
        """
        return math.isfinite(at) and self.low + 2 * near(at) < at < self.high - 2 * near(at)

    def density(self, at: float) -> float:
        """At a place where it can be."""
        if self.kind == "uniform":
            return 1.0
        return math.exp(-at) if self.kind == "exponential" else NormalDist().pdf(at)

    def between(self, low: float, high: float) -> float:
        """The probability of an interval, exact in both tails."""
        low, high = max(low, self.low), min(high, self.high)
        if self.kind == "uniform":
            return high - low
        if self.kind == "exponential":
            return -math.exp(-low) * math.expm1(low - high)
        upper = math.erfc(low / math.sqrt(2.0)) - math.erfc(high / math.sqrt(2.0))
        lower = math.erfc(-high / math.sqrt(2.0)) - math.erfc(-low / math.sqrt(2.0))
        return 0.5 * (upper if low > 0.0 else lower)

    def inside(self, low: float, high: float, share: float) -> float:
        """The place with this share of the probability of an interval below it."""
        low, high = max(low, self.low), min(high, self.high)
        if self.kind == "uniform":
            return low + share * (high - low)
        if self.kind == "exponential":
            return low - math.log1p(share * math.expm1(low - high))
        if low > 0.0:  # by the other tail, which is exact here
            return -self.inside(-high, -low, 1.0 - share)
        normal = NormalDist()
        below = normal.cdf(low) if math.isfinite(low) else 0.0
        unit = below + share * self.between(low, high)
        at = normal.inv_cdf(unit) if 0.0 < unit < 1.0 else 0.0
        return min(max(at, low), high)
