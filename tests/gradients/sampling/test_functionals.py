"""Quantiles and tail means: their weights, and their derivatives against closed forms of the exponential."""

from __future__ import annotations

import math
import random
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun.errors import UsageError
from detrun.gradients.sampling.functionals import CVAR, QUANTILE, Functional
from detrun.gradients.sampling.sample import Sample, means

LEVEL = 0.9
RATE = 2.0
QUANTILE_SLOPE = math.log(1 - LEVEL) / RATE**2  # of -ln(1 - p) / rate
CVAR_SLOPE = -(1 - math.log(1 - LEVEL)) / RATE**2  # of (1 - ln(1 - p)) / rate


def latency(params: dict[str, Any]) -> Any:
    return detrun.exponential(1.0 / params["rate"])


@given(st.sampled_from([QUANTILE, CVAR]), st.floats(0.01, 0.99), st.integers(1, 2000))
def test_weights_are_shares_of_ranks_that_there_are(name: str, level: float, count: int) -> None:
    first, weights = Functional(name, level).weights(count)
    assert first >= 0
    assert first + len(weights) <= count
    if weights:  # a tail of less than one sample has none
        assert math.fsum(weights) == pytest.approx(1.0)
        assert min(weights) > 0.0


def test_functionals_of_known_samples() -> None:
    hundred = [float(number) for number in range(1, 101)]
    assert Functional(QUANTILE, 0.9).of(hundred) == 90.0
    assert Functional(CVAR, 0.9).of(hundred) == pytest.approx(95.5)
    assert Functional(CVAR, 0.985).of(hundred) == pytest.approx((100.0 + 0.5 * 99.0) / 1.5)


@pytest.mark.parametrize(("of", "slope"), [(f"quantile:{LEVEL}", QUANTILE_SLOPE), (f"cvar:{LEVEL}", CVAR_SLOPE)])
@pytest.mark.parametrize("kind", ["local", "finite"])
def test_the_derivatives_of_an_exponential_distribution(of: str, slope: float, kind: str) -> None:
    """These fixed samples are at most 1.9 standard errors off, which are at most 16 % of the derivatives."""
    step: Any = {"step": 0.02} if kind == "finite" else {}
    found = detrun.gradient(latency, {"rate": RATE}, kind=kind, of=of, samples=150, **step)
    assert abs(found.grads["rate"] - slope) < 4 * found.std_error["rate"]
    assert abs(found.value - slope * -RATE) < 4 * found.value_std_error
    assert found.of == of
    assert of in str(found)
    assert of in found.bias


def test_the_standard_error_is_the_spread_over_repetitions() -> None:
    """Over 40 repetitions the spread is itself known to 11 %, so 35 % is asked of it."""
    found = []
    for repetition in range(40):
        losses = [random.Random(1000 * repetition + one).expovariate(RATE) for one in range(60)]
        samples = [Sample(loss, {"rate": -loss / RATE}, 1, 1) for loss in losses]
        found.append(means(samples, Functional(QUANTILE, 0.8)).grads["rate"])
    spread = statistics.stdev(one.mean for one in found)
    assert statistics.fmean(one.std_error for one in found) == pytest.approx(spread, rel=0.35)


def test_what_samples_cannot_show_is_refused() -> None:
    for keywords, said in (
        ({"of": "quantile:0.99", "samples": 100}, "at least 500"),
        ({"of": "quantile:0.9"}, "about samples"),
        ({"of": "median", "samples": 100}, "quantile:P"),
        ({"of": "cvar:1.5", "samples": 100}, "between 0 and 1"),
        ({"of": "cvar:0.5", "samples": 100, "kind": "policy", "baseline": "none"}, "leave out baseline"),
        ({"of": "cvar:0.5", "kind": "policy", "reuse": []}, "gives the mean"),
    ):
        with pytest.raises(UsageError, match=said):
            detrun.gradient(latency, {"rate": RATE}, **keywords)  # type: ignore[arg-type]
