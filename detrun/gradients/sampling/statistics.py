"""Means, standard errors and confidence intervals of independent samples.

Sums are `math.fsum`, which is exact and so does not depend on the order of samples or on the Python version. Intervals
are Student's: exact for normal samples, and right to order 1/n for others by the central limit theorem. Samples of
very heavy tails need more of them before an interval means what it says.

Source: Student's t by its relation to the incomplete beta function (Abramowitz and Stegun 26.7.1), which is evaluated
by the continued fraction of DiDonato and Morris, ACM TOMS 18 (1992), with the modified Lentz algorithm; the ratio of
gamma functions by Tricomi and Erdélyi, Pacific Journal of Mathematics 1 (1951).
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
    """The t with ``P(|T| <= t) = confidence`` for Student's T of so many degrees of freedom.

    Its relative error is at most 1e-12 up to 100,000 degrees of freedom, and 1e-8 up to a billion.
    """
    low, high = 0.0, 1.0
    while _is_too_near(high, confidence, freedom):
        low, high = high, 2.0 * high
    while high - low > 1e-12 * high:
        middle = 0.5 * (low + high)
        if _is_too_near(middle, confidence, freedom):
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _is_too_near(t: float, confidence: float, freedom: int) -> bool:
    """Whether ``P(|T| <= t) < confidence``: asked of the smaller side, which is not the rounded rest of the larger."""
    inside, outside = _shares(t, freedom)
    return inside < confidence if confidence < 0.5 else outside > 1.0 - confidence


def _shares(t: float, freedom: int) -> tuple[float, float]:
    """``P(|T| <= t)`` and ``P(|T| > t)``: I_x(1/2, n/2) and I_(1-x)(n/2, 1/2) with x = t² / (n + t²)."""
    a, square = freedom / 2.0, t * t
    inner, outer = square / (freedom + square), freedom / (freedom + square)
    front = math.exp(_log_gamma_ratio(a) - a * math.log1p(square / freedom)) * math.sqrt(inner / math.pi)
    if outer < (a + 1.0) / (a + 2.5):
        outside = front * _beta_fraction(outer, a, 0.5) / a
        return 1.0 - outside, outside
    inside = front * _beta_fraction(inner, 0.5, a) / 0.5
    return inside, 1.0 - inside


def _log_gamma_ratio(a: float) -> float:
    """``log(Γ(a + 1/2) / Γ(a))`` to 3e-13. Of large a, two logarithms as large as ``a log a`` would leave little."""
    if a < 200.0:
        return math.lgamma(a + 0.5) - math.lgamma(a)
    return 0.5 * math.log(a) - 1.0 / (8.0 * a) + 1.0 / (192.0 * a**3)


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
