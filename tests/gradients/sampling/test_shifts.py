"""Quantiles and tail means by kinds that move probability: closed forms, enumeration, errors over repetitions."""

from __future__ import annotations

import math
import random
import statistics
from typing import Any

import pytest

import detrun
from detrun.gradients.sampling.functionals import CVAR, QUANTILE, Functional
from detrun.gradients.sampling.shifts import Level, Moving, Shift, estimated, two_sided

RATE = 2.0
SLOPES = {  # of -ln(1 - p) / rate and of (1 - ln(1 - p)) / rate
    "quantile:0.8": math.log(0.2) / RATE**2,
    "cvar:0.8": -(1.0 - math.log(0.2)) / RATE**2,
}
KINDS: dict[str, dict[str, Any]] = {
    "expected": {"kind": "expected"},
    "policy": {"kind": "policy"},
    "simultaneous": {"kind": "finite", "difference": "simultaneous", "step": 0.2},
    "smoothing": {"kind": "relaxed", "smoothing": 0.2},
}


def latency(params: Any) -> Any:
    return detrun.exponential(1.0 / params["rate"])


def prize(params: Any) -> Any:
    """5 with the chance p; else 1 or 0. For p = 0.1 the worst fifth is 5 p + 1 (0.2 - p), over 0.2: the slope is 20."""
    if detrun.bernoulli(params["p"]):
        return 5.0
    return 1.0 if detrun.bernoulli(0.5) else 0.0


@pytest.mark.parametrize("of", SLOPES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_derivatives_of_an_exponential_distribution(kind: str, of: str) -> None:
    """These fixed samples are within 2 standard errors."""
    found = detrun.gradient(latency, {"rate": RATE}, of=of, samples=120, **KINDS[kind])
    assert abs(found.grads["rate"] - SLOPES[of]) < 4.0 * found.std_error["rate"]
    assert abs(found.value - SLOPES[of] * -RATE) < 4.0 * found.value_std_error
    assert found.of == of
    assert of in found.bias


@pytest.mark.parametrize("kind", ["expected", "policy"])
def test_the_tail_of_a_discrete_loss(kind: str) -> None:
    """By `expected` each pair says 20, without noise."""
    found = detrun.gradient(prize, {"p": 0.1}, of="cvar:0.8", samples=200, kind=kind)
    assert abs(found.grads["p"] - 20.0) <= 4.0 * found.std_error["p"] + 1e-9
    assert found.std_error["p"] == pytest.approx(0.0, abs=1e-9) or kind == "policy"


def test_a_quantile_moves_with_the_chance_of_a_delay() -> None:
    """With X + 3 B, B of chance p = 0.3, F(q) = p (1 - e^(3-q)) + (1-p)(1 - e^-q) for q > 3, and dq = -F_p / f."""
    chance, low, high = 0.3, 3.0, 9.0
    for _ in range(60):
        at = 0.5 * (low + high)
        below = chance * -math.expm1(3.0 - at) + (1.0 - chance) * -math.expm1(-at)
        low, high = (at, high) if below < 0.8 else (low, at)
    density = chance * math.exp(3.0 - low) + (1.0 - chance) * math.exp(-low)
    slope = (math.exp(3.0 - low) - math.exp(-low)) / density

    def main(params: Any) -> Any:
        return detrun.exponential(1.0) + (3.0 if detrun.bernoulli(params["p"]) else 0.0)

    found = detrun.gradient(main, {"p": chance}, of="quantile:0.8", samples=200, kind="policy")
    assert abs(found.grads["p"] - slope) < 4.0 * found.std_error["p"]
    assert found.std_error["p"] < 0.5 * slope


@pytest.mark.parametrize("name", [QUANTILE, pytest.param(CVAR, marks=pytest.mark.slow)])
def test_the_standard_error_is_the_spread_over_repetitions(name: str) -> None:
    """By scores of an exponential; over 40 repetitions the spread is itself known to 11 %, so 35 % is asked of it."""
    found = []
    for repetition in range(40):
        generator = random.Random(repetition)
        losses = [generator.expovariate(RATE) for _ in range(60)]
        samples = [Moving([one], {}, [Shift(None, one, {"rate": 1.0 / RATE - one})]) for one in losses]
        found.append(estimated(Functional(name, 0.8), samples, ["rate"])[1]["rate"])
    spread = statistics.stdev(one.mean for one in found)
    assert statistics.fmean(one.std_error for one in found) == pytest.approx(spread, rel=0.35)
    exact = SLOPES[f"{name}:0.8"]
    assert abs(statistics.fmean(one.mean for one in found) - exact) < 4.0 * spread / math.sqrt(40) + 0.05 * abs(exact)


def test_what_a_loss_counts_at_a_level() -> None:
    losses = [float(number) for number in range(1, 101)]
    tail = Level(Functional(CVAR, 0.8), losses)
    assert tail.at == 80.0
    assert [tail.worth(loss) for loss in (79.0, 80.0, 90.0)] == [0.0, 0.0, pytest.approx(50.0)]
    level = Level(Functional(QUANTILE, 0.8), losses)
    assert level.width == pytest.approx(100.0)  # one over a density of 1 / 100
    assert [level.worth(loss) for loss in (80.0, 80.5)] == [pytest.approx(-100.0), 0.0]
    assert Level(Functional(QUANTILE, 0.8), [1.0] * 100).width == 0.0


def test_sides_move_from_below_to_above() -> None:
    (shift,) = two_sided((3.0, 1.0), {"a": 0.5, "b": -0.25}).shifts
    assert (shift.before, shift.after) == (1.0, 3.0)
    assert shift.rates == {"a": 1.0, "b": -2.0}
