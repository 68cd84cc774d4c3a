"""Laws of Python's `random`, as far as its distributions are others than detrun's.

They are called by the names that `random` gives their parameters. What is a rejection method there, or moves otherwise
than in proportion to one noise, has no noise beneath it; `Opaque` has no density either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from detrun.ad.functions import log
from detrun.ad.value import primal_of
from detrun.primitives.continuous_laws import Exponential
from detrun.primitives.laws import ContinuousLaw, DiscreteLaw, Law
from detrun_scheduler import randomness
from detrun_scheduler.errors import UsageError

# A parameter that is compared with whole numbers of so many meets one of them sooner or later.
FINE = 1000


@dataclass(frozen=True, slots=True)
class UnitNumber(ContinuousLaw):
    """On [0, 1), without parameters."""

    kind: ClassVar[str] = "random"
    noise: ClassVar[str | None] = "uniform"
    has_density: ClassVar[bool] = False

    def noise_at(self, unit: float) -> float:
        """The draw itself."""
        return unit

    def from_noise(self, noise: Any) -> Any:
        """The noise itself."""
        return noise

    def noise_of(self, outcome: float) -> float:
        """The outcome itself."""
        return outcome

    def unit_of(self, outcome: float) -> float:
        """The outcome itself."""
        return outcome


@dataclass(frozen=True, slots=True)
class Expovariate(ContinuousLaw):
    """Exponential with a rate."""

    lambd: Any
    kind: ClassVar[str] = "expovariate"
    noise: ClassVar[str | None] = "exponential"

    noise_at = Exponential.noise_at

    def from_noise(self, noise: Any) -> Any:
        """Divided by the rate."""
        return noise / self.lambd

    def noise_of(self, outcome: float) -> float:
        """In units of the mean."""
        return outcome * primal_of(self.lambd)

    def unit_of(self, outcome: float) -> float:
        """The distribution function."""
        return -math.expm1(-outcome * primal_of(self.lambd))

    def log_probability(self, outcome: Any) -> Any:
        """Of the density."""
        return log(self.lambd) - outcome * self.lambd


@dataclass(frozen=True, slots=True)
class Paretovariate(ContinuousLaw):
    """A power of a uniform number."""

    alpha: Any
    kind: ClassVar[str] = "paretovariate"

    @property
    def is_fine(self) -> bool:
        """Its power is not in proportion to a noise."""
        return True

    def outcome_at(self, unit: float) -> Any:
        """As `random` has it, of what is left to 1."""
        return (1.0 - unit) ** (-1.0 / self.alpha)

    def unit_of(self, outcome: float) -> float:
        """The distribution function."""
        return -math.expm1(-primal_of(self.alpha) * math.log(outcome)) if outcome >= 1.0 else math.nan

    def log_probability(self, outcome: Any) -> Any:
        """Of the density."""
        return log(self.alpha) - (self.alpha + 1.0) * math.log(outcome)


@dataclass(frozen=True, slots=True)
class Weibullvariate(ContinuousLaw):
    """A power of an exponential number, scaled by ``alpha``."""

    alpha: Any
    beta: Any
    kind: ClassVar[str] = "weibullvariate"

    @property
    def is_fine(self) -> bool:
        """Its power is not in proportion to a noise."""
        return True

    def outcome_at(self, unit: float) -> Any:
        """As `random` has it."""
        return self.alpha * (-math.log1p(-unit)) ** (1.0 / self.beta)

    def unit_of(self, outcome: float) -> float:
        """The distribution function."""
        return -math.expm1(-((outcome / primal_of(self.alpha)) ** primal_of(self.beta))) if outcome >= 0.0 else math.nan

    def log_probability(self, outcome: Any) -> Any:
        """Of the density."""
        scaled = log(outcome / self.alpha)
        return log(self.beta / self.alpha) + (self.beta - 1.0) * scaled - (outcome / self.alpha) ** self.beta


@dataclass(frozen=True, slots=True)
class WholeNumber(DiscreteLaw):
    """One of ``start``, ``start + step``, …, with equal chances."""

    start: int
    count: int
    step: int = 1
    kind: ClassVar[str] = "randrange"

    @property
    def is_fine(self) -> bool:
        """Whether there are very many."""
        return self.count > FINE

    def outcome_at(self, unit: float) -> int:
        """The number."""
        return self.start + self.step * randomness.index_below(self.bits_at(unit), self.count)

    def interval(self, outcome: Any) -> tuple[float, float]:
        """Equal shares."""
        place, rest = divmod(outcome - self.start, self.step)
        return (0.0, 0.0) if rest or not 0 <= place < self.count else (place / self.count, (place + 1) / self.count)

    def log_probability(self, outcome: Any) -> Any:
        """The same for all."""
        return -math.log(self.count)


@dataclass(frozen=True, slots=True)
class Opaque(Law):
    """Numbers whose density is not worked out here, and orders."""

    name: str
    given: Mapping[str, Any]
    kind: ClassVar[str] = "random"
    has_density: ClassVar[bool] = False
    has_bits: ClassVar[bool] = False

    @property
    def is_fine(self) -> bool:
        """Orders are compared with nothing."""
        return self.name not in ("sample", "shuffle")

    @property
    def parameters(self) -> dict[str, Any]:
        """What the function was called with."""
        return dict(self.given)

    def bits_for(self, outcome: Any) -> int:
        """No outcome can be asked for."""
        raise UsageError(f"random.{self.name} takes several numbers for one outcome; draw with detrun what is forced")

    def outcome_at(self, unit: float) -> Any:
        """No number stands for an outcome."""
        self.bits_for(None)
