"""Means, standard errors and confidence intervals of independent samples.

Sums are `math.fsum`, which is exact and so does not depend on the order of samples or on the Python version. Intervals
are Student's: exact for normal samples, and right to order 1/n for others by the central limit theorem. Samples of
very heavy tails need more of them before an interval means what it says.

Source: Student's t by its relation to the incomplete beta function (Abramowitz and Stegun 26.7.1), which is evaluated
by the continued fraction of DiDonato and Morris, ACM TOMS 18 (1992), with the modified Lentz algorithm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

_TINY = 1e-300
_FRACTION_TERMS_MAX = 500


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number that was estimated from samples.

    Attributes:
        mean: the estimate.
        std_error: its standard error; infinite where there are too few samples to tell.
        freedom: degrees of freedom of the standard error: samples, or batches of them, less one.
    """

    mean: float
    std_error: float
    freedom: int

    def interval(self, confidence: float) -> tuple[float, float]:
        """Where the true number lies with probability ``confidence``."""
        half = self.half_width(confidence)
        return self.mean - half, self.mean + half

    def half_width(self, confidence: float) -> float:
        """Half the width of that interval."""
        if self.freedom < 1:
            return math.inf
        return self.std_error * student_quantile(confidence, self.freedom)


def estimate(numbers: Sequence[float]) -> Estimate:
    """The mean of independent samples of one distribution."""
    count = len(numbers)
    mean = math.fsum(numbers) / count
    if count == 1:
        return Estimate(mean, math.inf, 0)
    variance = math.fsum((number - mean) ** 2 for number in numbers) / (count - 1)
    return Estimate(mean, math.sqrt(variance / count), count - 1)


@lru_cache(maxsize=256)
def student_quantile(confidence: float, freedom: int) -> float:
    """The t with ``P(|T| <= t) = confidence`` for Student's T of so many degrees of freedom, to 1e-12."""
    low, high = 0.0, 1.0
    while 1.0 - _two_tails(high, freedom) < confidence:
        low, high = high, 2.0 * high
    while high - low > 1e-12 * high:
        middle = 0.5 * (low + high)
        if 1.0 - _two_tails(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _two_tails(t: float, freedom: int) -> float:
    """``P(|T| > t)``."""
    return _incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function I_x(a, b)."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1.0) / (a + b + 2.0):
        return math.exp(log_front) * _beta_fraction(x, a, b) / a
    return 1.0 - math.exp(log_front) * _beta_fraction(1.0 - x, b, a) / b


def _beta_fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1.0 / _not_zero(1.0 - (a + b) * x / (a + 1.0))
    fraction = d
    for m in range(1, _FRACTION_TERMS_MAX):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0)),
        ):
            d = 1.0 / _not_zero(1.0 + term * d)
            c = _not_zero(1.0 + term / c)
            change = d * c
            fraction *= change
        if abs(change - 1.0) < 1e-15:
            break
    return fraction


def _not_zero(number: float) -> float:
    return number if abs(number) > _TINY else _TINY
