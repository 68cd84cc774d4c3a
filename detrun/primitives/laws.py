"""Laws: the distribution of one draw with its parameters, as the draw log, forcing and estimators of gradients ask it.

A law knows which draw gives an outcome, how probable an outcome is, and, if it is continuous, how the outcome is made
from a noise without parameters (exponential = mean * noise). Probabilities are computed from the parameters themselves,
so that they are `Value`s if a parameter is one, and carry its derivative; the outcome counts as fixed.

A law is made only where draws are watched: the draws themselves use `randomness` directly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

from detrun.ad.functions import exp, log, log1p
from detrun.ad.functions import sum as total
from detrun.ad.value import primal_of
from detrun_scheduler import counts, randomness
from detrun_scheduler.errors import UsageError


class Law:
    """What all laws have in common. Parameters are the fields, outcomes plain numbers.

    Attributes:
        kind: the name of the function that draws.
        noise: the law of what the parameters are applied to: ``"uniform"`` on [0, 1), ``"exponential"`` with mean 1 or
            ``"normal"`` with mean 0 and deviation 1; None for discrete laws.
        has_density: the probability of an outcome is known as a smooth function of the parameters. A uniform number has
            none, since its ends move.
        is_fine: what is compared with outcomes may meet one at any place, at a rate that no noise tells.
        has_bits: an outcome can be asked for by the bits that give it.
    """

    __slots__ = ()
    kind: ClassVar[str]
    noise: ClassVar[str | None] = None
    has_density: ClassVar[bool] = True
    has_bits: ClassVar[bool] = True

    @property
    def is_fine(self) -> bool:
        """See above."""
        return False

    @property
    def parameters(self) -> dict[str, Any]:
        """By name, `Value`s where they are."""
        return {name: getattr(self, name) for name in self.__match_args__}  # type: ignore[attr-defined]

    def unit(self, bits: int) -> float:
        """The number in [0, 1) that these bits stand for."""
        return randomness.to_unit(bits)

    def bits_at(self, unit: float) -> int:
        """The bits that stand for the multiple of 2**-53 at or just below ``unit``."""
        return int(unit * 2.0**53) << 11

    def outcome_at(self, unit: float) -> Any:
        """The outcome of a draw."""
        raise NotImplementedError

    def bits_for(self, outcome: Any) -> int:
        """Bits that give ``outcome``.

        Raises:
            UsageError: it is no outcome of this law, or one that no draw gives.
        """
        raise NotImplementedError

    def probability(self, outcome: Any) -> Any:
        """The probability of ``outcome``, or its density."""
        return exp(self.log_probability(outcome))

    def log_probability(self, outcome: Any) -> Any:
        """Its logarithm, exact where the probability is too small for a float."""
        raise NotImplementedError

    def from_noise(self, noise: Any) -> Any:
        """The outcome, from the noise beneath it."""
        raise UsageError(f"{self.kind}: a discrete outcome has no noise beneath it")

    def noise_at(self, unit: float) -> float:
        """The noise of a draw."""
        raise UsageError(f"{self.kind}: a discrete outcome has no noise beneath it")

    def noise_of(self, outcome: float) -> float:
        """The noise that gives an outcome, with the parameters as they are; nan where they leave it no choice."""
        raise UsageError(f"{self.kind}: a discrete outcome has no noise beneath it")

    def _refused(self, outcome: Any, why: str) -> UsageError:
        shown = ", ".join(f"{name}={_shown(one)}" for name, one in self.parameters.items())
        return UsageError(f"cannot force {self.kind}({shown}) to {outcome!r}: {why}")


class ContinuousLaw(Law):
    """A noise without parameters, and what the parameters make of it."""

    __slots__ = ()

    def outcome_at(self, unit: float) -> Any:
        """The transformed noise."""
        return self.from_noise(self.noise_at(unit))

    def bits_for(self, outcome: Any) -> int:
        """Bits that give ``outcome`` up to rounding."""
        if not isinstance(outcome, Real) or isinstance(outcome, bool):
            raise self._refused(outcome, "its outcomes are real numbers")
        unit = self.unit_of(float(outcome))
        if not 0.0 <= unit < 1.0:
            low, high = (primal_of(self.outcome_at(self.unit(bits))) for bits in (0, (1 << 64) - 1))
            raise self._refused(outcome, f"its outcomes lie between {low:.9g} and {high:.9g}")
        return self.bits_at(unit)

    def unit_of(self, outcome: float) -> float:
        """The draw that gives ``outcome``; outside of [0, 1), or nan, if none does."""
        raise NotImplementedError


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
        return randomness.normal(unit, 0.0, 1.0)  # type: ignore[no-any-return]

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


class DiscreteLaw(Law):
    """The inverse of a distribution function: each outcome is given by the draws of one interval."""

    __slots__ = ()

    def interval(self, outcome: Any) -> tuple[float, float]:
        """The draws ``[low, high)`` that give ``outcome``; empty if none does."""
        raise NotImplementedError

    def accepts(self, outcome: Any) -> str | None:
        """None if ``outcome`` is of the kind that this law has, else what its outcomes are."""
        return None if type(outcome) is int else "its outcomes are whole numbers"

    def bits_for(self, outcome: Any) -> int:
        """Bits from the middle of the interval."""
        self.outcome_at(0.5)  # names what is wrong with the parameters
        if (said := self.accepts(outcome)) is not None:
            raise self._refused(outcome, said)
        low, high = self.interval(outcome)
        bits = self.bits_at(0.5 * (low + high)) if low < high else 0
        if low >= high or self.outcome_at(self.unit(bits)) != outcome:
            raise self._refused(outcome, f"that has the probability {max(0.0, high - low):.3g}, and no draw gives it")
        return bits


@dataclass(frozen=True, slots=True)
class Bernoulli(DiscreteLaw):
    """A coin."""

    probability_of_true: Any
    kind: ClassVar[str] = "bernoulli"

    @property
    def parameters(self) -> dict[str, Any]:
        """As `detrun.bernoulli` calls it."""
        return {"probability": self.probability_of_true}

    def accepts(self, outcome: Any) -> str | None:
        """True and False, also as 1 and 0."""
        return None if isinstance(outcome, int) and outcome in (0, 1) else "its outcomes are True and False"

    def outcome_at(self, unit: float) -> bool:
        """Whether the draw is below the probability."""
        return randomness.bernoulli(unit, self.probability_of_true)

    def interval(self, outcome: Any) -> tuple[float, float]:
        """Below the probability, or from it on."""
        return counts.bernoulli_interval(bool(outcome), primal_of(self.probability_of_true))

    def probability(self, outcome: Any) -> Any:
        """Itself, or what is left to 1."""
        return self.probability_of_true if outcome else 1.0 - self.probability_of_true

    def log_probability(self, outcome: Any) -> Any:
        """Exact near 1."""
        return log(self.probability_of_true) if outcome else log1p(-self.probability_of_true)


@dataclass(frozen=True, slots=True)
class Choice(DiscreteLaw):
    """One of ``options``, called by its index; uniform without ``weights``."""

    options: int
    weights: Sequence[Any] | None
    kind: ClassVar[str] = "choice"

    def accepts(self, outcome: Any) -> str | None:
        """An index."""
        if type(outcome) is int and 0 <= outcome < self.options:
            return None
        return f"its outcomes are the indices of its options, 0 to {self.options - 1}"

    def outcome_at(self, unit: float) -> int:
        """The index."""
        if self.weights is None:
            return randomness.index_below(self.bits_at(unit), self.options)
        return randomness.weighted_index(unit, self.weights)

    def interval(self, outcome: Any) -> tuple[float, float]:
        """Of the cumulative weights."""
        if self.weights is None:
            return outcome / self.options, (outcome + 1) / self.options
        return counts.choice_interval(outcome, [primal_of(one) for one in self.weights])

    def probability(self, outcome: Any) -> Any:
        """The share of the option's weight."""
        return 1.0 / self.options if self.weights is None else self.weights[outcome] / total(self.weights)

    def log_probability(self, outcome: Any) -> Any:
        """A difference of logarithms."""
        if self.weights is None:
            return -math.log(self.options)
        all_weights: Any = total(self.weights)
        return log(self.weights[outcome]) - log(all_weights)


@dataclass(frozen=True, slots=True)
class Poisson(DiscreteLaw):
    """A count with a mean."""

    mean: Any
    kind: ClassVar[str] = "poisson"

    def outcome_at(self, unit: float) -> int:
        """The smallest count whose distribution function exceeds the draw."""
        return randomness.poisson(unit, self.mean)

    def interval(self, outcome: Any) -> tuple[float, float]:
        """Of the distribution function."""
        return counts.poisson_interval(outcome, primal_of(self.mean))

    def log_probability(self, outcome: Any) -> Any:
        """``k log(mean) - mean - log(k!)``."""
        return _times(outcome, log, self.mean) - self.mean - math.lgamma(outcome + 1)


@dataclass(frozen=True, slots=True)
class Binomial(DiscreteLaw):
    """A count of heads."""

    trials: int
    probability_of_one: Any
    kind: ClassVar[str] = "binomial"

    @property
    def parameters(self) -> dict[str, Any]:
        """As `detrun.binomial` calls them."""
        return {"trials": self.trials, "probability": self.probability_of_one}

    def outcome_at(self, unit: float) -> int:
        """The smallest count whose distribution function exceeds the draw."""
        return counts.binomial(unit, self.trials, self.probability_of_one)

    def interval(self, outcome: Any) -> tuple[float, float]:
        """Of the distribution function."""
        return counts.binomial_interval(outcome, self.trials, primal_of(self.probability_of_one))

    def log_probability(self, outcome: Any) -> Any:
        """By the binomial coefficient."""
        rest = self.trials - outcome
        ways = math.lgamma(self.trials + 1) - math.lgamma(outcome + 1) - math.lgamma(rest + 1)
        p = self.probability_of_one
        return ways + _times(outcome, log, p) + _times(rest, log1p, -p)


@dataclass(frozen=True, slots=True)
class Geometric(DiscreteLaw):
    """Trials up to the first success."""

    probability_of_success: Any
    kind: ClassVar[str] = "geometric"

    @property
    def parameters(self) -> dict[str, Any]:
        """As `detrun.geometric` calls it."""
        return {"probability": self.probability_of_success}

    def outcome_at(self, unit: float) -> int:
        """The smallest count whose distribution function exceeds the draw."""
        return counts.geometric(unit, self.probability_of_success)

    def interval(self, outcome: Any) -> tuple[float, float]:
        """Of the distribution function."""
        return counts.geometric_interval(outcome, primal_of(self.probability_of_success))

    def log_probability(self, outcome: Any) -> Any:
        """``log p + (k - 1) log(1 - p)``."""
        p = self.probability_of_success
        return log(p) + _times(outcome - 1, log1p, -p)


@dataclass(frozen=True, slots=True)
class TorchSample(Law):
    """A torch distribution, whose bits seed a generator: which outcome they give is not known beforehand."""

    distribution: Any
    kind: ClassVar[str] = "sample"

    @property
    def is_lost(self) -> bool:
        """Whether a derivative ends here: a parameter has one, and the distribution does not pass it on."""
        if self.distribution.has_rsample:
            return False
        return any(getattr(one, "requires_grad", False) for one in vars(self.distribution).values())

    def bits_for(self, outcome: Any) -> int:
        """No outcome can be asked for."""
        raise UsageError(
            f"cannot force detrun.sample({type(self.distribution).__name__}) to an outcome: its bits seed torch's "
            "generator; force it with detrun.Bits(...)"
        )


def _times(count: int, function: Any, argument: Any) -> Any:
    # 0 * log(0) is 0 here: an outcome that never happened says nothing.
    return count * function(argument) if count else 0.0


def _normal_unit(outcome: float, mean: Any, std: Any) -> float:
    deviation = primal_of(std)
    if deviation == 0.0:
        return 0.5 if outcome == primal_of(mean) else math.nan
    unit = 0.5 * math.erfc(-(outcome - primal_of(mean)) / deviation / math.sqrt(2.0))
    return unit if 0.0 < unit < 1.0 else math.nan


def _shown(parameter: Any) -> str:
    text = repr(parameter)
    return text if len(text) <= 60 else text[:57] + "..."
