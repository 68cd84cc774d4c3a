"""Estimates of known numbers, and Student's t where it has closed forms."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest

from detrun.gradients.sampling.statistics import Estimate, _log_gamma_ratio, estimate, student_quantile


def test_the_mean_and_its_standard_error() -> None:
    assert estimate([1.0, 2.0, 6.0]) == Estimate(3.0, pytest.approx(math.sqrt(7.0 / 3.0)), 2)
    assert estimate([5.0]) == Estimate(5.0, math.inf, 0)
    assert estimate([1.0, 1.0]) == Estimate(1.0, 0.0, 1)


@pytest.mark.parametrize("confidence", [0.001, 0.1, 0.5, 0.9, 0.99, 0.9999])
def test_with_one_and_two_degrees_of_freedom_the_quantile_is_elementary(confidence: float) -> None:
    """Of one the tangent of half the share of a circle; of two from ``P(|T| <= t) = t / sqrt(2 + t²)``."""
    assert student_quantile(confidence, 1) == pytest.approx(math.tan(0.5 * math.pi * confidence), rel=1e-10)
    of_two = confidence * math.sqrt(2.0 / (1.0 - confidence**2))
    assert student_quantile(confidence, 2) == pytest.approx(of_two, rel=1e-10)


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(4, 2.7764451051977934), (30, 2.0422724563012378), (1000, 1.9623390808264074)]
)
def test_quantiles_at_95_percent_are_the_tabulated_ones(freedom: int, quantile: float) -> None:
    assert student_quantile(0.95, freedom) == pytest.approx(quantile, rel=1e-11)


@pytest.mark.parametrize("a", [0.5, 3.0, 199.5, 200.0, 1234.5])
def test_the_ratio_of_gamma_functions_half_a_step_apart(a: float) -> None:
    """Its product with the next one is ``Γ(a + 1) / Γ(a) = a``, and the first is ``1 / √π``."""
    assert _log_gamma_ratio(a) + _log_gamma_ratio(a + 0.5) == pytest.approx(math.log(a), rel=0.0, abs=3e-13)
    assert _log_gamma_ratio(0.5) == pytest.approx(-0.5 * math.log(math.pi))


@pytest.mark.parametrize(
    ("confidence", "freedom", "quantile"),
    [
        (0.001, 30, 0.0012638004606975659),
        (0.001, 100_000, 0.0012533175987275565),
        (0.1, 1_000, 0.12569326251871639),
        (0.5, 3, 0.76489232840434528),
        (0.49, 400, 0.65942867053153608),
        (0.51, 400, 0.69094638932477737),
        (0.9999999, 1, 6366197.7270266465),
        (0.9999999, 30, 6.9557475844597403),
        (1.0 - 1e-12, 5, 452.54122659108977),
        (0.95, 100_000, 1.9599877075346093),
    ],
)
def test_quantiles_of_near_certainty_of_hardly_any_and_of_many_samples(
    confidence: float, freedom: int, quantile: float
) -> None:
    """By bisection of the incomplete beta function in mpmath, with 50 digits."""
    assert student_quantile(confidence, freedom) == pytest.approx(quantile, rel=1e-12, abs=0.0)


def test_the_quantiles_of_a_billion_degrees_of_freedom_are_the_normal_ones() -> None:
    """Up to ``(z² + 1) / 4n``, which is 7e-10 and 2e-9 here."""
    for confidence, accuracy in ((0.001, 1e-9), (0.95, 1e-8), (0.9999, 1e-8)):
        normal = NormalDist().inv_cdf(0.5 + 0.5 * confidence)
        assert student_quantile(confidence, 10**9) == pytest.approx(normal, rel=accuracy, abs=0.0)


def test_an_interval_lies_around_the_mean_and_is_everything_where_nothing_is_known() -> None:
    low, high = Estimate(3.0, 2.0, 1).interval(0.5)
    assert (low, high) == (pytest.approx(1.0), pytest.approx(5.0))  # t is 1 there
    assert Estimate(3.0, 2.0, 0).half_width(0.5) == math.inf
    assert Estimate(3.0, 2.0, 1).half_width(0.5) == pytest.approx(2.0)
