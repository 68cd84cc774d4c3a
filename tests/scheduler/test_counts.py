"""Binomial and geometric numbers against scipy's distribution functions, and the intervals of draws that give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from detrun_scheduler import counts, randomness
from detrun_scheduler.errors import UsageError

units = st.integers(0, 2**53 - 1).map(lambda bits: bits * 2.0**-53)
TOLERANCE = 1e-11  # of the tables, in probability


@given(unit=units, trials=st.integers(0, 300), probability=st.floats(0.0, 1.0))
def test_a_binomial_count_is_the_inverse_of_its_distribution_function(
    unit: float, trials: int, probability: float
) -> None:
    count = counts.binomial(unit, trials, probability)
    known = stats.binom(trials, probability)
    assert known.cdf(count - 1) - TOLERANCE <= unit <= known.cdf(count) + TOLERANCE
    low, high = counts.binomial_interval(count, trials, probability)
    assert low <= unit < high


@given(unit=units, probability=st.floats(1e-6, 1.0))
def test_a_geometric_count_is_the_inverse_of_its_distribution_function(unit: float, probability: float) -> None:
    count = counts.geometric(unit, probability)
    known = stats.geom(probability)
    assert known.cdf(count - 1) - TOLERANCE <= unit <= known.cdf(count) + TOLERANCE
    low, high = counts.geometric_interval(count, probability)
    assert low <= unit < high


@given(unit=units, mean=st.floats(0.0, 200.0), weights=st.lists(st.floats(0.0, 5.0), min_size=1).filter(any))
def test_draws_lie_in_the_interval_of_their_outcome(unit: float, mean: float, weights: list[float]) -> None:
    low, high = counts.poisson_interval(randomness.poisson(unit, mean), mean)
    assert low <= unit < high
    chosen = randomness.weighted_index(unit, weights)
    low, high = counts.choice_interval(chosen, weights)
    assert low - 1e-15 <= unit < high + 1e-15
    assert counts.bernoulli_interval(True, 0.3) == (0.0, 0.3)
    assert counts.bernoulli_interval(False, 0.3) == (0.3, 1.0)


def test_outcomes_that_do_not_exist_have_empty_intervals() -> None:
    assert counts.poisson_interval(-1, 3.0) == counts.poisson_interval(500, 3.0) == counts.NOTHING
    assert counts.binomial_interval(4, 3, 0.5) == counts.geometric_interval(0, 0.5) == counts.NOTHING
    assert counts.choice_interval(2, [1.0, 1.0]) == counts.NOTHING
    assert counts.binomial(0.5, 7, 1.0) == 7
    assert counts.binomial(0.5, 7, 0.0) == 0
    assert counts.geometric(0.99, 1.0) == 1


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda: counts.binomial(0.5, -1, 0.5), r"trials=-1 must be a whole number"),
        (lambda: counts.binomial(0.5, 1.5, 0.5), r"trials=1.5"),  # type: ignore[arg-type]
        (lambda: counts.binomial(0.5, 3, 1.5), r"probability=1.5 is not a probability"),
        (lambda: counts.geometric(0.5, 0.0), r"nothing ever happens"),
    ],
)
def test_wrong_parameters_are_named(draw: Callable[[], Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        draw()
