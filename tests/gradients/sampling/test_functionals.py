"""Quantiles and tail means: their weights, and their derivatives against closed forms of the exponential."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun.errors import UsageError
from detrun.gradients.sampling.functionals import CVAR, QUANTILE, Functional, bootstrapped, functional_of, ordered_by
from detrun.gradients.sampling.sample import Sample, means
from detrun.gradients.sampling.statistics import Estimate

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


def test_the_windows_of_ranks_are_the_narrowest_of_what_is_asked() -> None:
    """A quarter of n^0.8 to either side, half of what lies beyond the level, and the ranks that there are."""
    assert Functional(QUANTILE, 0.5).weights(100) == (40, [pytest.approx(1 / 19)] * 19)  # int(0.25 · 39.8) = 9
    assert Functional(QUANTILE, 0.875).weights(80) == (64, [pytest.approx(1 / 11)] * 11)  # half of the 10 beyond it
    assert Functional(QUANTILE, 0.1).weights(100) == (4, [pytest.approx(1 / 11)] * 11)
    assert Functional(QUANTILE, 0.5).weights(3) == (1, [1.0])
    assert Functional(QUANTILE, 0.5).weights(1) == Functional(QUANTILE, 0.01).weights(1) == (0, [1.0])
    assert Functional(QUANTILE, 0.9).weights(2) == (1, [1.0])
    assert Functional(QUANTILE, 0.01).weights(2) == Functional(QUANTILE, 1e-12).weights(2) == (0, [1.0])
    assert Functional(QUANTILE, 0.5).levels(100) == (0.4, 0.59)
    assert Functional(CVAR, 0.9).levels(100) == (0.9, 1.0)


def test_the_worst_share_takes_a_part_of_the_sample_at_its_edge() -> None:
    assert Functional(CVAR, 0.7).weights(10) == (7, [pytest.approx(1 / 3)] * 3)  # 0.3 · 10 is less than 3 in floats
    assert Functional(CVAR, 0.75).weights(10) == (7, [pytest.approx(0.2), pytest.approx(0.4), pytest.approx(0.4)])
    assert Functional(CVAR, 0.75).weights(2) == (1, [1.0])
    assert Functional(CVAR, 1e-12).weights(1) == (0, [pytest.approx(1.0)])


def test_as_many_samples_as_lie_five_beyond_the_level_are_needed() -> None:
    assert [Functional(QUANTILE, level).samples_min for level in (0.5, 0.99, 0.01)] == [10, 500, 500]
    assert [Functional(CVAR, level).samples_min for level in (0.5, 0.99, 0.01)] == [10, 500, 6]
    assert str(Functional(CVAR, 0.99)) == "cvar:0.99"


def test_what_of_says() -> None:
    assert functional_of("mean") is None
    assert functional_of("quantile:0.25") == Functional(QUANTILE, 0.25)
    assert functional_of("cvar:0.5") == Functional(CVAR, 0.5)
    for wrong in ("", "cvar", "cvar:", "cvar:0", "cvar:1", "cvar:-1", "cvar:nan", "mean:0.5", "quantile:high", 3):
        with pytest.raises(UsageError, match="choose 'mean', 'quantile:P' or 'cvar:P'"):
            functional_of(wrong)  # type: ignore[arg-type]


def test_the_bootstrap_of_a_mean_has_the_error_of_resampled_means() -> None:
    """Redone by the statistics module of Python; below ``enough`` samples nothing is known."""
    numbers = [1.0, 4.0, 9.0, 16.0]

    def statistic(chosen: Sequence[int]) -> list[float]:
        return [statistics.fmean(numbers[one] for one in chosen), 2.0]

    mean, constant = bootstrapped(statistic, 4, 4)
    generator = random.Random(0)
    means_of_200 = [statistic(generator.choices(range(4), k=4))[0] for _ in range(200)]
    assert mean == Estimate(7.5, pytest.approx(statistics.stdev(means_of_200), rel=1e-12), 3)
    assert constant == Estimate(2.0, 0.0, 3)
    assert bootstrapped(statistic, 4, 5) == [Estimate(7.5, math.inf, 0), Estimate(2.0, math.inf, 0)]


def test_weights_go_to_the_chosen_samples_by_the_order_of_their_losses() -> None:
    losses = [5.0, 1.0, 9.0, 7.0]
    assert ordered_by(losses, [0, 1, 2, 3], Functional(CVAR, 0.5)) == [(0.5, 3), (0.5, 2)]
    assert ordered_by(losses, [1, 0, 1, 0], Functional(CVAR, 0.5)) == [(0.5, 0), (0.5, 0)]
    assert Functional(CVAR, 0.5).of(losses) == 8.0


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
