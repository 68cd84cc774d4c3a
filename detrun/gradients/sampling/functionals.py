"""What of the loss is differentiated: its mean, a quantile, or the mean of its tail.

Quantiles and tail means weigh the ordered losses of all samples by their ranks (L-statistics):

- ``quantile:P`` is the loss that a share P of runs stays below. Its derivative is the mean derivative of runs whose
  loss is there. It is estimated by the mean over a window of ranks around P n, so that its variance falls with n: a
  single ranked sample would not do. The window covers levels P - d to P + d, d at most half of what lies beyond P.
- ``cvar:P``, the conditional value at risk or expected shortfall, is the mean of the worst 1 - P of all runs. Its
  derivative is their mean derivative: where P is reached has no effect to first order.

Standard errors are those of a bootstrap over seeds, since where the rank falls is random, too.

Source: Hong, "Estimating quantile sensitivities", Operations Research 57 (2009); Liu and Hong, "Kernel estimation of
quantile sensitivities", Naval Research Logistics 56 (2009); Hong and Liu, "Simulating sensitivities of conditional
value at risk", Management Science 55 (2009); Efron (1979) for the bootstrap.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from detrun.gradients.sampling.statistics import Estimate
from detrun_scheduler.errors import UsageError

MEAN = "mean"
QUANTILE = "quantile"
CVAR = "cvar"
BEYOND_MIN = 5  # samples that must lie beyond the level for a standard error to mean anything
RESAMPLES = 200  # the standard error is known to 5 % then


@dataclass(frozen=True, slots=True)
class Functional:
    """A weighing of ordered losses: ``quantile`` or ``cvar`` at a level between 0 and 1."""

    name: str
    level: float

    def __str__(self) -> str:
        return f"{self.name}:{self.level:g}"

    @property
    def samples_min(self) -> int:
        """The samples that it takes."""
        beyond = 1.0 - self.level if self.name == CVAR else min(self.level, 1.0 - self.level)
        return math.ceil(BEYOND_MIN / beyond - 1e-9)

    def weights(self, count: int) -> tuple[int, list[float]]:
        """The lowest rank that counts, from 0, and the weights from there on; their sum is 1."""
        if self.name == CVAR:
            tail = (1.0 - self.level) * count
            whole = math.floor(tail + 1e-9)
            part = max(0.0, tail - whole)
            found = [1.0 / tail] * whole
            if part > 1e-9 and whole < count:
                found.insert(0, part / tail)
            return count - len(found), found
        middle = max(math.ceil(self.level * count - 1e-9), 1) - 1
        beyond = min(self.level, 1.0 - self.level) * count
        half = min(int(0.25 * count**0.8), int(0.5 * beyond))
        return middle - half, [1.0 / (2 * half + 1)] * (2 * half + 1)

    def levels(self, count: int) -> tuple[float, float]:
        """The levels that a window of ranks covers."""
        first, found = self.weights(count)
        return first / count, (first + len(found)) / count

    def of(self, numbers: Sequence[float]) -> float:
        """The functional of a sample of losses."""
        first, weights = self.weights(len(numbers))
        ordered = sorted(numbers)[first : first + len(weights)]
        return math.fsum(weight * number for weight, number in zip(weights, ordered, strict=True))


def functional_of(text: str) -> Functional | None:
    """What ``of=`` says; None for the mean.

    Raises:
        UsageError: it is none of them, or its level is not between 0 and 1.
    """
    if text == MEAN:
        return None
    name, _, number = text.partition(":") if isinstance(text, str) else ("", "", "")
    try:
        level = float(number)
    except ValueError:
        level = math.nan
    if name not in (QUANTILE, CVAR) or not 0.0 < level < 1.0:
        raise UsageError(
            f"gradient: of={text!r} is not valid; choose 'mean', 'quantile:P' or 'cvar:P' with P between 0 and 1, such "
            "as 'quantile:0.99'"
        )
    return Functional(name, level)


def ordered_by(numbers: Sequence[float], chosen: Sequence[int], functional: Functional) -> list[tuple[float, int]]:
    """Weights with the indices of the samples that they go to, of those ``chosen``."""
    first, weights = functional.weights(len(chosen))
    ordered = sorted(chosen, key=numbers.__getitem__)[first : first + len(weights)]
    return list(zip(weights, ordered, strict=True))


def bootstrapped(statistic: Callable[[Sequence[int]], Sequence[float]], count: int, enough: int) -> list[Estimate]:
    """Estimates of numbers that are computed of samples, which ``statistic`` is given by their indices.

    Args:
        enough: samples below which nothing is known of the error.
    """
    point = statistic(range(count))
    if count < enough:
        return [Estimate(one, math.inf, 0) for one in point]
    # A generator of its own with a fixed seed: the same samples give the same errors everywhere.
    generator = random.Random(0)
    everything = range(count)
    rows = [statistic(generator.choices(everything, k=count)) for _ in range(RESAMPLES)]
    found = []
    for column, one in enumerate(point):
        numbers = [row[column] for row in rows]
        mean = math.fsum(numbers) / RESAMPLES
        spread = math.sqrt(math.fsum((number - mean) ** 2 for number in numbers) / (RESAMPLES - 1))
        found.append(Estimate(one, spread, count - 1))
    return found
