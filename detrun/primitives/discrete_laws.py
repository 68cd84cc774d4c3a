"""Laws of coins, choices and counts: each outcome is given by the draws of one interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from detrun.ad.functions import log, log1p
from detrun.ad.functions import sum as total
from detrun.ad.value import primal_of
from detrun.primitives.laws import DiscreteLaw
from detrun_scheduler import counts, randomness


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


def _times(count: int, function: Any, argument: Any) -> Any:
    # 0 * log(0) is 0 here: an outcome that never happened says nothing.
    return count * function(argument) if count else 0.0
