"""A token bucket against its closed forms: how long requests are delayed, and how many.

Requests come with rate 1 and want exponential numbers of tokens with mean 1; tokens come with the rate r into a bucket
of the size b. The time T until the bucket would have paid for a request without a credit of b is that of a M/M/1
queue, exponential with the rate r - 1; the request is delayed by max(0, T - b/r).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

import detrun

REQUESTS = 4
RATE, SIZE = 2.0, 1.5
SHARE = math.exp(-(RATE - 1) * SIZE / RATE)  # of delayed requests


def bucket(cost: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The mean cost of requests that are owed for so long; the first comes to a bucket in its stationary state."""

    def main(params: Any) -> Any:
        rate, total = params["rate"], 0.0
        owed = detrun.exponential(1.0 / (rate - 1.0))
        for _ in range(REQUESTS):
            total = total + cost(owed - params["size"] / rate)
            owed = detrun.maximum(0.0, owed - detrun.exponential(1.0)) + detrun.exponential(1.0) / rate
        return total / REQUESTS

    return main


def holds(main: Callable[[Any], Any], truth: dict[str, float], value: float, **options: Any) -> None:
    found = detrun.gradient(main, {"rate": RATE, "size": SIZE}, **options)
    for name, exact in truth.items():
        assert abs(found.grads[name] - exact) <= 4 * found.std_error[name], name
        assert found.std_error[name] <= 0.35 * abs(exact), name
    assert abs(found.value - value) <= 4 * found.value_std_error


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("local", {"samples": 300}),
        ("expected", {"samples": 80, "pairs": 2}),
        ("finite", {"samples": 150, "step": 0.05}),
        pytest.param("expected", {"samples": 1500, "pairs": 2}, marks=pytest.mark.slow),
    ],
)
def test_the_mean_delay(kind: Any, options: dict[str, Any]) -> None:
    """E = e/(r-1), e = exp(-(r-1) b/r): by b -e/r, by r -e b/(r² (r-1)) - e/(r-1)². At most 1.2 errors away."""
    truth = {"size": -SHARE / RATE, "rate": -SHARE * SIZE / RATE**2 / (RATE - 1) - SHARE / (RATE - 1) ** 2}
    holds(bucket(lambda late: detrun.maximum(0.0, late)), truth, SHARE / (RATE - 1), kind=kind, **options)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("expected", {"samples": 120, "pairs": 2}),
        ("finite", {"samples": 150, "step": 0.2}),
        pytest.param("expected", {"samples": 1500, "pairs": 2}, marks=pytest.mark.slow),
    ],
)
def test_the_share_of_delayed_requests(kind: Any, options: dict[str, Any]) -> None:
    """e: by b -e (r-1)/r, by r -e b/r². Local gradients are 0. A step of 0.2 has a bias of at most 0.003.

    By differences the sample is at most 0.6 errors away. By pairs it is 1.8 and 3.2 away: weights of one over the
    probability of short pieces are skewed, so 120 samples that have none of these look more exact than they are. The
    slow test has 1,500.
    """
    main = bucket(lambda late: 1.0 if late > 0.0 else 0.0)
    holds(main, {"size": -SHARE * (RATE - 1) / RATE, "rate": -SHARE * SIZE / RATE**2}, SHARE, kind=kind, **options)
    local = detrun.gradient(main, {"rate": RATE, "size": SIZE}, samples=3)
    assert local.grads == {"rate": 0.0, "size": 0.0}
