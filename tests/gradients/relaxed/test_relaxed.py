"""Soft choices are exact at temperature 0, differentiable above it, and their gradients approach the exact ones."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun import relaxed
from detrun.ad.temperature import temperature_of
from detrun.errors import UsageError
from detrun.gradients.relaxed.trend import TrendDetails

NUMBERS = st.lists(st.floats(-5.0, 5.0), min_size=1, max_size=5)


@given(NUMBERS, st.floats(-2.0, 2.0))
def test_at_temperature_0_they_are_exact(numbers: list[float], x: float) -> None:
    assert relaxed.minimum(*numbers) == min(numbers)
    assert relaxed.maximum(*numbers) == max(numbers)
    assert relaxed.sort(numbers) == sorted(numbers)
    assert relaxed.sort(numbers, reverse=True) == sorted(numbers, reverse=True)
    assert relaxed.clip(x, -1.0, 1.0) == min(max(x, -1.0), 1.0)
    assert relaxed.where(x, 1.0, 2.0) == (1.0 if x > 0 else 2.0)
    assert relaxed.count(numbers) == sum(number > 0 for number in numbers)
    assert relaxed.argmax(numbers).index(1.0) == numbers.index(max(numbers))
    assert relaxed.argmin(numbers).index(1.0) == numbers.index(min(numbers))
    assert relaxed.route(numbers, numbers) == max(numbers)


@given(NUMBERS, st.floats(-2.0, 2.0), st.sampled_from([0.01, 0.3, 2.0]))
def test_soft_ones_are_near_and_straight_through_ones_are_exact(numbers: list[float], x: float, soft: float) -> None:
    room = soft * math.log(len(numbers)) + 1e-9
    assert 0.0 <= min(numbers) - relaxed.minimum(*numbers, temperature=soft) + 1e-9 <= room + 1e-9
    assert 0.0 <= relaxed.maximum(*numbers, temperature=soft) - max(numbers) + 1e-9 <= room + 1e-9
    assert -1.0 <= relaxed.clip(x, -1.0, 1.0, temperature=soft) <= 1.0
    assert sum(relaxed.argmax(numbers, temperature=soft)) == pytest.approx(1.0)
    for one in relaxed.sort(numbers, temperature=soft):
        assert min(numbers) - 1e-9 <= one <= max(numbers) + 1e-9
    keywords: Any = {"temperature": soft, "straight_through": True}
    assert relaxed.sort(numbers, **keywords) == sorted(numbers)
    assert relaxed.minimum(*numbers, **keywords) == min(numbers)
    assert relaxed.clip(x, -1.0, 1.0, **keywords) == min(max(x, -1.0), 1.0)
    assert relaxed.argmax(numbers, **keywords) == relaxed.argmax(numbers)
    assert relaxed.count(numbers, **keywords) == relaxed.count(numbers)


def dotted(numbers: list[Any]) -> Any:
    return detrun.dot(numbers, [1.0, -2.0, 0.5])


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y, z: relaxed.where(x - y, x, z),
        lambda x, y, z: relaxed.threshold(x, y) * z,
        lambda x, y, z: relaxed.minimum(x, y, z),
        lambda x, y, z: relaxed.maximum(x, y, z),
        lambda x, y, z: relaxed.clip(x, y, z),
        lambda x, y, z: dotted(relaxed.argmin([x, y, z])),
        lambda x, y, z: relaxed.route([x, y, z], [z, x, y]),
        lambda x, y, z: relaxed.count([x - y, x - z], scale=2.0),
        lambda x, y, z: dotted(relaxed.sort([x, y, z])),
    ],
)
def test_the_derivative_is_that_of_the_soft_function(function: Callable[..., Any]) -> None:
    """Against central differences of the function on floats."""
    at = {"x": 0.7, "y": 0.4, "z": 1.1}

    def soft(params: dict[str, Any]) -> Any:
        return function(**params)

    found = detrun.gradient(soft, at, kind="relaxed", temperature=0.5, samples=2)
    with temperature_of(0.5):
        for name in at:
            up, down = ({**at, name: at[name] + move} for move in (1e-5, -1e-5))
            assert found.grads[name] == pytest.approx((function(**up) - function(**down)) / 2e-5, abs=1e-7)


def test_a_straight_through_result_has_the_derivative_of_the_soft_one() -> None:
    def through(params: dict[str, Any]) -> Any:
        return relaxed.threshold(params["x"], 0.0, temperature=0.5, straight_through=True)

    found = detrun.gradient(through, {"x": 0.2})
    share = 1.0 / (1.0 + math.exp(-0.4))
    assert found.value == 1.0
    assert found.grads["x"] == pytest.approx(share * (1.0 - share) / 0.5)


def passes(params: dict[str, Any]) -> Any:
    """E[3 · 1{t > U}] = 3 t, whose derivative is 3."""
    return 3.0 * relaxed.threshold(params["t"], detrun.uniform(0.0, 1.0))


def passes_exactly(params: dict[str, Any]) -> Any:
    return 3.0 if params["t"] > detrun.uniform(0.0, 1.0) else 0.0


def softened(temperature: float) -> float:
    """The mean over U of the derivative of 3 s((t - U) / T), with s the logistic function, at t = 0.4."""
    return 3.0 * (1.0 / (1.0 + math.exp(-0.4 / temperature)) - 1.0 / (1.0 + math.exp(0.6 / temperature)))


def test_the_gradient_of_a_threshold_approaches_as_the_temperature_falls() -> None:
    """At each temperature within four standard errors of the closed form; this fixed sample is at most 0.8 off."""
    temperatures = [1.0, 0.3, 0.05]
    found = detrun.gradient(passes, {"t": 0.4}, kind="relaxed", temperature=temperatures, samples=200)
    assert isinstance(found.details, TrendDetails)
    for temperature, one in zip(temperatures, found.details.trend["t"], strict=True):
        assert abs(one.mean - softened(temperature)) < 4 * one.std_error
    assert softened(0.05) == pytest.approx(3.0, rel=0.001)
    assert any("still moved by" in one for one in found.warnings)
    assert "temperature 0.05" in found.bias
    assert found.details.moved_loss is not None
    assert abs(found.details.moved_loss.mean) < 4 * found.details.moved_loss.std_error


def test_smoothing_needs_no_change_of_the_program() -> None:
    """3 t is linear, so smoothing keeps its derivative: 3; this fixed sample is 1.5 standard errors off."""
    found = detrun.gradient(passes_exactly, {"t": 0.4}, kind="relaxed", smoothing=0.1, samples=200)
    assert abs(found.grads["t"] - 3.0) < 4 * found.std_error["t"]
    assert found.cost is not None
    assert found.cost.runs == 1 + 2 * 200
    assert "t 0.1" in found.bias


def test_the_bias_of_smoothing_falls_with_the_width() -> None:
    """The mean of (x + w u)³ is x³ + 3 x w², whose derivative at 1 is 3 + 3 w²."""
    found = detrun.gradient(lambda p: p["x"] ** 3, {"x": 1.0}, kind="relaxed", smoothing=[0.4, 0.01], samples=150)
    assert isinstance(found.details, TrendDetails)
    wide, narrow = found.details.trend["x"]
    assert abs(wide.mean - (3.0 + 3.0 * 0.4**2)) < 4 * wide.std_error
    assert abs(narrow.mean - 3.0) < 4 * narrow.std_error


def test_a_program_that_softens_nothing_is_told_so() -> None:
    found = detrun.gradient(passes_exactly, {"t": 0.4}, kind="relaxed", temperature=0.1, samples=2)
    assert any("calls no function of detrun.relaxed" in one for one in found.warnings)


def test_runs_that_are_not_relaxed_stay_exact_after_one_that_was() -> None:
    detrun.gradient(passes, {"t": 0.4}, kind="relaxed", temperature=0.5, samples=2)
    assert detrun.record(passes, {"t": 0.4}).result in (0.0, 3.0)


def test_arguments_that_make_no_sense_are_refused() -> None:
    for keywords, said in (
        ({}, "give one of them"),
        ({"temperature": 0.1, "smoothing": 0.1}, "give one of them"),
        ({"temperature": [0.1, 0.3]}, "falling"),
        ({"temperature": -1.0}, "not negative"),
        ({"smoothing": 0.0}, "positive number"),
        ({"smoothing": {"y": 1.0}}, "one width for each of t"),
        ({"step": 0.1}, "goes with kind='finite'"),
    ):
        with pytest.raises(UsageError, match=said):
            detrun.gradient(passes, {"t": 0.4}, kind="relaxed", samples=2, **keywords)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="x - y for x > y"):
        relaxed.where(True, 1.0, 2.0)
    with pytest.raises(UsageError, match="2 scores for 1 options"):
        relaxed.route([1.0, 2.0], [1.0])
    with pytest.raises(UsageError, match="at least one number"):
        relaxed.argmin([])


def decided_by(name: str) -> Callable[[dict[str, Any]], Any]:
    """A program that lets one function of `relaxed` decide whether an exponential draw is below ``at``."""

    def main(params: dict[str, Any], **options: Any) -> Any:
        size = detrun.exponential(1.0)
        below = params["at"] - size
        if name == "where":
            return relaxed.where(below, 1.0, 0.0, **options)
        if name == "threshold":
            return relaxed.threshold(below, 0.0, **options)
        if name == "count":
            return relaxed.count([below], **options)
        if name == "argmax":
            return relaxed.argmax([params["at"], size], **options)[0]
        if name == "argmin":
            return relaxed.argmin([params["at"], size], **options)[1]
        return relaxed.route([params["at"], size], [1.0, 0.0], **options)

    return main


@pytest.mark.parametrize("name", ["where", "threshold", "count", "argmax", "argmin", "route"])
def test_an_exact_call_is_a_discontinuity_site_that_other_kinds_see(name: str) -> None:
    """d/dt P(X < t) = exp(-t), and each run of either side shows it exactly; a soft result has no site."""
    main = decided_by(name)
    found = detrun.gradient(main, {"at": 0.2}, kind="expected", samples=5)
    assert found.grads["at"] == pytest.approx(math.exp(-0.2), rel=1e-6)
    near = detrun.gradient(main, {"at": 0.2}, seed=1).validity["at"]
    assert 0.0 < near.radius < math.inf
    assert near.site is not None
    assert "test_relaxed.py" in near.site.where
    for straight_through in (False, True):
        soft = functools.partial(main, temperature=0.1, straight_through=straight_through)
        assert (detrun.gradient(soft, {"at": 0.2}, seed=1).validity["at"].radius < math.inf) == straight_through
