"""Laws with a density: what the parameters make of a uniform, exponential or normal noise without parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from detrun.ad.functions import exp, log
from detrun.ad.value import primal_of
from detrun.primitives.laws import ContinuousLaw
from detrun_scheduler import randomness


@dataclass(frozen=True, slots=True)
class Uniform(ContinuousLaw):
    """On [low, high)."""

    low: Any
    high: Any
    kind: ClassVar[str] = "uniform"
    noise: ClassVar[str | None] = "uniform"
    has_density: ClassVar[bool] = False

    def noise_at(self, unit: float) -> float:
        """The draw itself."""
        return unit

    def from_noise(self, noise: Any) -> Any:
        """Scaled and shifted."""
        return self.low + (self.high - self.low) * noise

    def noise_of(self, outcome: float) -> float:
        """Its place in the interval, or beyond it."""
        low, width = primal_of(self.low), primal_of(self.high) - primal_of(self.low)
        return (outcome - low) / width if width else math.nan

    def unit_of(self, outcome: float) -> float:
        """Its place in the interval."""
        low, width = primal_of(self.low), primal_of(self.high) - primal_of(self.low)
        if width == 0.0:
            return 0.0 if outcome == low else math.nan
        return (outcome - low) / width

    def log_probability(self, outcome: Any) -> Any:
        """Of the density, inside the interval."""
        return -log(self.high - self.low)


@dataclass(frozen=True, slots=True)
class Exponential(ContinuousLaw):
    """With a mean."""

    mean: Any
    kind: ClassVar[str] = "exponential"
    noise: ClassVar[str | None] = "exponential"

    def noise_at(self, unit: float) -> float:
        """With mean 1."""
        return -math.log1p(-unit)

    def from_noise(self, noise: Any) -> Any:
        """Scaled."""
        return self.mean * noise

    def noise_of(self, outcome: float) -> float:
        """In units of the mean."""
        return outcome / primal_of(self.mean)

    def unit_of(self, outcome: float) -> float:
        """The distribution function."""
        return -math.expm1(-outcome / primal_of(self.mean))

    def log_probability(self, outcome: Any) -> Any:
        """Of the density."""
        return -log(self.mean) - outcome / self.mean


@dataclass(frozen=True, slots=True)
class Normal(ContinuousLaw):
    """With mean and standard deviation."""

    mean: Any
    std: Any
    kind: ClassVar[str] = "normal"
    noise: ClassVar[str | None] = "normal"

    def unit(self, bits: int) -> float:
        """In the open interval (0, 1)."""
        return randomness.to_open_unit(bits)

    def bits_at(self, unit: float) -> int:
        """Of the nearest number that a draw can be."""
        return min(int(unit * 2.0**52), 2**52 - 1) << 12

    def noise_at(self, unit: float) -> float:
        """With mean 0 and deviation 1."""
        found: float = randomness.normal(unit, 0.0, 1.0)
        return found

    def from_noise(self, noise: Any) -> Any:
        """Scaled and shifted."""
        return self.mean + self.std * noise

    def noise_of(self, outcome: float) -> float:
        """In deviations from the mean."""
        std = primal_of(self.std)
        return (outcome - primal_of(self.mean)) / std if std else math.nan

    def unit_of(self, outcome: float) -> float:
        """The distribution function."""
        return _normal_unit(outcome, self.mean, self.std)

    def log_probability(self, outcome: Any) -> Any:
        """Of the density."""
        away = (outcome - self.mean) / self.std
        return -0.5 * away * away - log(self.std) - 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True, slots=True)
class LogNormal(ContinuousLaw):
    """``exp`` of a normal."""

    log_mean: Any
    log_std: Any
    kind: ClassVar[str] = "lognormal"
    noise: ClassVar[str | None] = "normal"

    unit = Normal.unit
    bits_at = Normal.bits_at
    noise_at = Normal.noise_at

    def from_noise(self, noise: Any) -> Any:
        """``exp`` of it, scaled and shifted."""
        return exp(self.log_mean + self.log_std * noise)

    def noise_of(self, outcome: float) -> float:
        """Of its logarithm; below every noise for what is not positive."""
        std = primal_of(self.log_std)
        logarithm = math.log(outcome) if outcome > 0.0 else -math.inf
        return (logarithm - primal_of(self.log_mean)) / std if std else math.nan

    def unit_of(self, outcome: float) -> float:
        """The distribution function."""
        return _normal_unit(math.log(outcome), self.log_mean, self.log_std) if outcome > 0.0 else math.nan

    def log_probability(self, outcome: Any) -> Any:
        """Of the density."""
        logarithm = math.log(outcome)
        return Normal(self.log_mean, self.log_std).log_probability(logarithm) - logarithm


def _normal_unit(outcome: float, mean: Any, std: Any) -> float:
    deviation = primal_of(std)
    if deviation == 0.0:
        return 0.5 if outcome == primal_of(mean) else math.nan
    unit = 0.5 * math.erfc(-(outcome - primal_of(mean)) / deviation / math.sqrt(2.0))
    return unit if 0.0 < unit < 1.0 else math.nan
