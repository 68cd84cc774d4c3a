"""Comparisons that flip where a maximum, a minimum or an absolute value bends: one side of the point shows them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

import detrun

TRUTH = math.exp(-0.7)  # the density of an exponential draw where it is p


@pytest.mark.parametrize(
    ("is_met", "truth"),
    [
        (lambda x, y, p: detrun.maximum(x - p, 0.0) > 0.0, -TRUTH),
        (lambda x, y, p: detrun.maximum(x, p) > p, -TRUTH),
        (lambda x, y, p: detrun.minimum(x, p) < p, TRUTH),
        (lambda x, y, p: detrun.maximum(x - p, 0.0) == 0.0, TRUTH),
        (lambda x, y, p: bool(detrun.maximum(x - p, 0.0)), -TRUTH),
        (lambda x, y, p: x == p, 0.0),
        # Up to rounding.
        (lambda x, y, p: detrun.maximum(x - p, 0.0) + 0.1 > 0.1, -TRUTH),
        # Seen from both sides, and from both for nothing.
        (lambda x, y, p: detrun.maximum(x - p, 0.0) > detrun.maximum(p - x, 0.0), -TRUTH),
        (lambda x, y, p: abs(x - p) > 0.0, 0.0),
        # One jump of two decisions, and of one that no maximum hides.
        (lambda x, y, p: (detrun.maximum(x - p, 0.0) > 0.0) + (detrun.maximum(x, p) > p), -2.0 * TRUTH),
        (lambda x, y, p: (x > p) + (detrun.maximum(x, p) > p), -2.0 * TRUTH),
        (lambda x, y, p: (detrun.maximum(x, p) > p) + (x > p), -2.0 * TRUTH),
        # With a factor that is no draw of the point.
        (lambda x, y, p: detrun.maximum((x - p) * y, 0.0) > 0.0, -TRUTH),
        # Behind a kink, and between two.
        (lambda x, y, p: detrun.maximum(x - p + 0.3, 0.0) > 0.3, -TRUTH),
        (lambda x, y, p: detrun.minimum(detrun.maximum(x - p, -0.3), 0.3) > 0.0, -TRUTH),
    ],
)
def test_a_jump_at_a_kink_has_the_density_there(is_met: Callable[[Any, Any, Any], Any], truth: float) -> None:
    """From the side that sees it one over the probability of that side: noise of that alone."""

    def main(params: Any) -> Any:
        return 1.0 * is_met(detrun.exponential(), detrun.uniform(), params["p"])

    found = detrun.gradient(main, {"p": 0.7}, kind="expected", samples=60, pairs=3)
    assert abs(found.grads["p"] - truth) <= 3.5 * found.std_error["p"] + 1e-6
    assert found.std_error["p"] <= 0.2


def test_customers_who_wait_at_all() -> None:
    """Of two arrivals of rate r at a server of rate 1 the second waits with probability r / (1 + r)."""

    def main(params: Any) -> Any:
        wait = detrun.maximum(detrun.exponential(1.0) - detrun.exponential(1.0 / params["r"]), 0.0)
        return 1.0 if wait > 0.0 else 0.0

    found = detrun.gradient(main, {"r": 0.8}, kind="expected", samples=80)
    assert abs(found.grads["r"] - 1.0 / 1.8**2) <= 3.5 * found.std_error["r"] <= 0.3
