"""Thresholds on what moves otherwise than in proportion to a draw, against their closed forms.

All that is random decides one comparison, so a run of either side shows the derivative exactly, and no sample deviates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import trio

import detrun

ROOT = math.sqrt(2 * math.pi)


def normal_density(at: float) -> float:
    return math.exp(-0.5 * at * at) / ROOT


def exact(main: Callable[..., Any], truth: float, at: float = 0.7, samples: int = 8, **options: Any) -> None:
    found = detrun.gradient(main, {"p": at}, kind="expected", samples=samples, **options)
    assert found.std_error["p"] < 1e-6 * abs(truth)
    assert found.grads["p"] == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize(
    ("margin", "truth"),
    [
        # A law that bends, whose inverse is known: P(exp(z) > p) with density phi(log p) / p.
        (lambda p: detrun.lognormal(0.0, 1.0) - p, -normal_density(math.log(0.7)) / 0.7),
        # P(exp(p z) > 2) = P(z > log 2 / p), and the parameter moves the law itself.
        (
            lambda p: detrun.lognormal(0.0, p) - 2.0,
            normal_density(math.log(2) / 0.7) * math.log(2) / 0.7**2,
        ),
        # Powers: P((p x)³ > 0.1) = exp(-0.1^(1/3) / p).
        (lambda p: detrun.exponential(p) ** 3 - 0.1, 0.1 ** (1 / 3) / 0.49 * math.exp(-(0.1 ** (1 / 3)) / 0.7)),
        # Quotients and logarithms: P(1 / (1 + x) < p) = P(x > 1/p - 1); P(log x > p) = exp(-exp(p)).
        (lambda p: p - 1.0 / (1.0 + detrun.exponential()), math.exp(1 - 1 / 0.7) / 0.49),
        (lambda p: detrun.log(detrun.exponential()) - p, -math.exp(0.7 - math.exp(0.7))),
        # x + x³ > 1.312 p / 0.7, with the root 0.8 at p = 0.7; the point moves by 1.312 / 0.7 / (1 + 3 x²).
        (lambda p: _cubic(detrun.uniform()) - 1.312 / 0.7 * p, -1.312 / 0.7 / (1.0 + 3.0 * 0.8**2)),
        # Decreasing.
        (lambda p: detrun.exp(-detrun.exponential()) - p, 1.0 * -1.0),
    ],
)
def test_a_margin_that_bends_has_the_density_at_its_root(margin: Callable[[Any], Any], truth: float) -> None:
    def main(params: Any) -> Any:
        return 1.0 if margin(params["p"]) > 0.0 else 0.0

    exact(main, truth)


def _cubic(one: Any) -> Any:
    return one + one * one * one


def test_a_product_and_a_sum_of_draws_are_straight_in_the_last() -> None:
    """P(X Y + Z > p): Z is the last; given the others its density, so the mean over them remains noise.

    For uniform X, Y, Z at p = 0.5: P = 1 - E[(p - XY)+], of which the derivative is -P(XY < p) = -(p - p log p).
    """

    def main(params: Any) -> Any:
        return 1.0 if detrun.uniform() * detrun.uniform() + detrun.uniform() > params["p"] else 0.0

    found = detrun.gradient(main, {"p": 0.5}, kind="expected", samples=60)
    truth = -(0.5 - 0.5 * math.log(0.5))
    assert abs(found.grads["p"] - truth) <= 4 * found.std_error["p"]
    assert found.std_error["p"] < 0.06


@pytest.mark.parametrize(
    ("first", "second", "truth"),
    [
        # A straight decision before a bent one: P(x² > p) where x > 0.3 is known.
        (lambda x: x - 0.3, lambda x, p: x**2 - p, -math.exp(-math.sqrt(0.7)) / (2 * math.sqrt(0.7))),
        # And the other way round: runs from either end of the interval must agree on the end that bends.
        (lambda x: x**2 - 0.2, lambda x, p: x - p, -math.exp(-0.7)),
        (lambda x: detrun.log(x) + 1.0, lambda x, p: x**3 - p**3, -math.exp(-0.7)),
    ],
)
def test_decisions_before_bound_the_interval(
    first: Callable[[Any], Any], second: Callable[[Any, Any], Any], truth: float
) -> None:
    """A run below the first never comes to the second, so samples are 0 or the density over the chance to come there.

    The samples are 0.0, 0.3 and 0.1 errors away.
    """

    def main(params: Any) -> Any:
        one = detrun.exponential()
        if first(one) > 0.0:
            return 1.0 if second(one, params["p"]) > 0.0 else 0.0
        return 0.0

    found = detrun.gradient(main, {"p": 0.7}, kind="expected", samples=30)
    assert abs(found.grads["p"] - truth) <= 4 * found.std_error["p"] <= abs(truth)


def test_a_rare_jump_is_seen_from_every_run() -> None:
    """P(0.3 + exp(-x) > x/2 + p²) for x = exp(z/2 - p) is 4 in 10,000, and moves 60 times as fast as z does.

    With x = 0.0656 at the root, z = 2 (log x + p), and dx/dp = -2 p / (1/2 + exp(-x)).
    """

    def main(params: Any) -> Any:
        x = detrun.lognormal(-params["p"], 0.5)
        return 1.0 if 0.3 + detrun.exp(-x) > 0.5 * x + params["p"] ** 2 else 0.0

    low, high = 0.0, 1.0
    for _ in range(60):
        x = 0.5 * (low + high)
        low, high = (x, high) if 0.3 + math.exp(-x) > 0.5 * x + 1.21 else (low, x)
    slope = 2.0 * (-2.2 / (0.5 + math.exp(-x)) / x + 1.0)
    exact(main, normal_density(2.0 * (math.log(x) + 1.1)) * slope, at=1.1, samples=4)


def test_timers_that_bend_race_others() -> None:
    """A service takes x³ and is given up after p: P(x³ > p) = exp(-p^(1/3))."""

    async def main(params: Any) -> Any:
        with trio.move_on_after(params["p"]):
            await trio.sleep(detrun.exponential() ** 3)
            return 0.0
        return 1.0

    exact(main, -math.exp(-(0.7 ** (1 / 3))) * 0.7 ** (-2 / 3) / 3)


def test_a_power_that_is_lost_in_the_clock_next_to_zero_ends_where_the_noise_does() -> None:
    """Twice, (p x)² seconds for what takes 0.3 s: of x near 0 nothing is left in a clock that shows 0.3 s already.

    P((p x)² < 0.3) = sqrt(0.3) / p, each time.
    """

    async def main(params: Any) -> Any:
        expired = 0.0
        for _ in range(2):
            with trio.move_on_after((params["p"] * detrun.uniform()) ** 2) as scope:
                await trio.sleep(0.3)
            expired += 1.0 if scope.cancelled_caught else 0.0
        return expired

    found = detrun.gradient(main, {"p": 0.7}, kind="expected", samples=4)
    assert abs(found.grads["p"] + 2.0 * math.sqrt(0.3) / 0.49) <= 4 * found.std_error["p"] <= 4.0


def test_what_is_not_monotone_is_refused_by_name_or_reported() -> None:
    """(x - 1)² > p has two roots, of which a run sees one."""

    def main(params: Any) -> Any:
        return (1.0 if (detrun.exponential() - 1.0) ** 2 > params["p"] else 0.0) + params["p"]

    with pytest.raises(detrun.NotDifferentiableError, match=r"test_bent_lines.py:\d+: a margin .* is not monotone"):
        detrun.gradient(main, {"p": 0.3}, kind="expected", samples=10)
    found = detrun.gradient(main, {"p": 0.3}, kind="expected", samples=10, on_unknown="report")
    assert "without a known density" in found.bias
    assert "is not monotone" in found.bias
