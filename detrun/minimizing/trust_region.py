"""Trust regions: how far a step may go, since a gradient is a model of the loss that ends somewhere.

`ByValidity` knows where: local gradients hold while their runs go the same way, which their validity radii tell. It
suits losses that jump there. A mean of many runs whose loss is continuous is modelled well beyond the radii of single
runs, and is only slowed by it.

`ByNoise` finds out: a step after which the loss is higher by more than its noise explains is taken back, and the steps
from there are half as long; a step that gained as its gradient promised lets them grow again.

Source: Chen, Menickelly and Scheinberg, "Stochastic optimization using a trust-region method and random models",
Mathematical Programming 169 (2018), for radii that follow from noisy gains. There both losses are estimated to an
accuracy that the radius asks for; here their standard errors decide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from detrun.minimizing.coordinates import Coordinate

TRUST_REGIONS = ("validity", "noise")
SHARE = 0.5  # of the way to where runs go another way: the margins are linearized, and the edge belongs to either side
LEAST = 0.01  # of the first step, out of a tie, where the radius is 0
NOISE = 2.0  # standard errors of a difference
KEPT_PROMISE = 0.1  # of the gain that the gradient promised


class TrustRegion(Protocol):
    """What limits steps, told of each gradient in turn."""

    def back(self, value: float, error: float) -> list[float] | None:
        """Where to go back to, if the last step was too long by the loss that it led to; else None."""

    def limited(
        self,
        at: Sequence[float],
        moved: Sequence[float],
        value: float,
        error: float,
        gradient: Sequence[float],
        radii: Mapping[str, float],
    ) -> list[float]:
        """The step to take in place of one from ``at`` to ``moved``."""


class ByValidity:
    """Steps half as far as to where half of the runs go another way, to first order.

    A margin that each parameter alone may move by its radius holds while the shares of radii sum up to at most 1.
    """

    def __init__(self, coordinates: Sequence[Coordinate], rate: float) -> None:
        self.coordinates = coordinates
        self.rate = rate

    def back(self, value: float, error: float) -> list[float] | None:
        """Nowhere: steps are limited before they are taken."""
        return None

    def limited(
        self,
        at: Sequence[float],
        moved: Sequence[float],
        value: float,
        error: float,
        gradient: Sequence[float],
        radii: Mapping[str, float],
    ) -> list[float]:
        """See `TrustRegion`."""
        shares = 0.0
        for one, place, target in zip(self.coordinates, at, moved, strict=True):
            slope = max(one.slope(one.parameter(place)), one.slope(one.parameter(target)))
            radius = SHARE * radii[one.name] or LEAST * self.rate * slope
            shares += abs(target - place) * slope / radius
        return _scaled(at, moved, 1.0 / max(1.0, shares))


class ByNoise:
    """Steps whose length follows from what the last ones gained; the first is taken in full."""

    def __init__(self) -> None:
        self.radius = math.inf
        self.last: tuple[list[float], float, float, float, float] | None = None  # at, value, error, promised, length

    def back(self, value: float, error: float) -> list[float] | None:
        """See `TrustRegion`."""
        if self.last is None:
            return None
        at, before, error_before, promised, length = self.last
        self.last = None
        fall = before - value
        if not math.isfinite(value) or fall < -NOISE * math.hypot(error, error_before):
            self.radius = length / 2.0
            return at
        if fall > KEPT_PROMISE * promised:
            self.radius *= 2.0
        return None

    def limited(
        self,
        at: Sequence[float],
        moved: Sequence[float],
        value: float,
        error: float,
        gradient: Sequence[float],
        radii: Mapping[str, float],
    ) -> list[float]:
        """See `TrustRegion`."""
        length = math.dist(at, moved)
        taken = _scaled(at, moved, self.radius / length if length > self.radius else 1.0)
        promised = sum(slope * (place - to) for slope, place, to in zip(gradient, at, taken, strict=True))
        self.last = (list(at), value, error, promised, math.dist(at, taken))
        return taken


def _scaled(at: Sequence[float], moved: Sequence[float], share: float) -> list[float]:
    if share >= 1.0:
        return list(moved)
    return [place + share * (target - place) for place, target in zip(at, moved, strict=True)]
