"""Estimates of known numbers, and Student's t where it has closed forms."""

from __future__ import annotations

import math

import pytest

from detrun.gradients.sampling.statistics import Estimate, estimate, student_quantile


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


def test_an_interval_lies_around_the_mean_and_is_everything_where_nothing_is_known() -> None:
    low, high = Estimate(3.0, 2.0, 1).interval(0.5)
    assert (low, high) == (pytest.approx(1.0), pytest.approx(5.0))  # t is 1 there
    assert Estimate(3.0, 2.0, 0).half_width(0.5) == math.inf
    assert Estimate(3.0, 2.0, 1).half_width(0.5) == pytest.approx(2.0)
