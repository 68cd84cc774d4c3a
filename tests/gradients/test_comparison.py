"""Kinds of gradients beside each other: they agree where they must, and part for reasons that are said."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio

import detrun
from detrun.errors import UsageError
from detrun.gradients.comparison import cpu_needed

TIMEOUT, RATE, COST = 0.5, 1.0, 0.3
GOES_ON = math.exp(-RATE * TIMEOUT)
EXPECTED = -COST * RATE * GOES_ON / (1 - GOES_ON) ** 2  # of 1/rate + cost q / (1 - q)
LOCAL = GOES_ON / (1 - GOES_ON)  # the mean number of time-outs


async def retry(params: dict[str, Any]) -> Any:
    """Ask until an answer comes; each time-out costs beside its time."""
    cost = 0.0
    while True:
        with trio.move_on_after(params["timeout"]):
            await trio.sleep(detrun.exponential(1.0 / RATE))
            return trio.current_time() + cost
        cost += COST


def square(params: dict[str, Any]) -> Any:
    return detrun.exponential(params["mean"]) ** 2


def probability(params: dict[str, Any]) -> Any:
    return float(detrun.bernoulli(params["p"]))


def fails(params: dict[str, Any]) -> Any:
    raise KeyError("nothing")


def test_retry_with_a_timeout_has_two_derivatives_and_the_difference_is_explained() -> None:
    """Within four standard errors of both closed forms; this fixed sample is at most 0.5 off.

    The tail is heavy: of 50 samples the standard error is not to be trusted yet.
    """
    found = detrun.compare_gradients(retry, {"timeout": TIMEOUT}, kinds=("local", "expected"), samples=80)
    for kind, exact in (("local", LOCAL), ("expected", EXPECTED)):
        one = found.found[kind]
        assert abs(one.grads["timeout"] - exact) < 4 * one.std_error["timeout"], kind
    assert found.reference == "expected"
    (said,) = found.parted
    assert f"local says {found.found['local'].grads['timeout']:+.3g}, expected " in said
    assert "how the loss jumps where these flip; timeout at" in said
    assert found.advised == "expected"
    assert found.advice.startswith("use expected: it counts the jumps; ")
    assert found.verdict() == [said, found.advice]
    assert "CPU s for 10%" in str(found)


def test_where_nothing_jumps_all_kinds_agree() -> None:
    found = detrun.compare_gradients(square, {"mean": 0.7}, samples=40)
    assert set(found.found) == {"local", "expected", "policy", "finite", "relaxed"}
    assert found.parted == []
    assert "all agree with expected" in str(found)
    assert found.advised in ("local", "expected", "policy", "finite")  # whichever takes least CPU
    assert found.advice.endswith("known to 10%, the least")


def test_a_kind_that_fails_is_reported_and_the_others_are_compared() -> None:
    """A probability of 1 cannot be moved up."""
    found = detrun.compare_gradients(
        probability, {"p": 1.0}, kinds=("local", "finite"), samples=4, options={"finite": {"step": 0.1}}
    )
    assert set(found.found) == {"local"}
    assert "UsageError" in found.refused["finite"]
    assert found.reference is None
    assert "finite: refused: UsageError" in str(found)


def test_a_program_that_fails_raises_and_unknown_kinds_are_refused() -> None:
    with pytest.raises(KeyError):
        detrun.compare_gradients(fails, {"x": 1.0}, samples=2)
    with pytest.raises(UsageError, match="unknown kind"):
        detrun.compare_gradients(square, {"mean": 1.0}, kinds=("odd",))
    with pytest.raises(UsageError, match="unknown kind"):
        detrun.compare_gradients(square, {"mean": 1.0}, options={"odd": {}})


def test_samples_that_agree_to_rounding_still_cost_two_of_them() -> None:
    """Two samples are the fewest that tell an error; their time is the least that is ever asked for."""

    def scaled(params: dict[str, Any]) -> Any:
        return params["rate"] * 0.1 + detrun.exponential(1e-20)

    compared = detrun.compare_gradients(scaled, {"rate": 3.0}, kinds=["local"], samples=10)
    cost = compared.found["local"].cost
    assert cost is not None
    assert float(cpu_needed(compared.found["local"])) == pytest.approx(cost.cpu_seconds / 5, rel=0.05)
