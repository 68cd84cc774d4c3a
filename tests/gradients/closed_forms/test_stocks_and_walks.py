"""Stocks, order statistics and walks: the expected gradient against closed forms.

Each docstring has the closed form and how many standard errors the fixed sample is off. By default samples are few; the
long tests take more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import trio

import detrun

SIZES = [pytest.param(1, id="few"), pytest.param(12, id="many", marks=pytest.mark.slow)]


def holds(main: Callable[..., Any], params: dict[str, float], truth: Mapping[str, float], **options: Any) -> Any:
    found = detrun.gradient(main, params, kind="expected", **options)
    for name, exact in truth.items():
        # The two sides of a jump are looked at 1e-9 from it; where nothing else is random, that is all the error.
        assert abs(found.grads[name] - exact) <= 4 * found.std_error[name] + 1e-7 * abs(exact), name
    return found


@pytest.mark.parametrize("times", SIZES)
def test_a_reorder_level_and_an_order_up_to_level(times: int) -> None:
    """(s, S) over two periods of exponential demands with a fixed cost of 1 for an order, holding 0.3.

    With D = S - s: the first demand is below D with chance 1 - e, e = exp(-D). Orders: 1 + (the second falls below s)
    in the mean: P(x > D) + P(x < D, x + y > D) + P(x > D) P(y > D) = e + D e + e². Stock after a period: S if ordered,
    else S - x: E1 = e S + S (1 - e) - (1 - (1 + D) e), E2 the same from S or from S - x.
    The mean is orders + 0.3 (E1 + E2); its derivatives are worked out by hand below. 1.2 errors away.
    """

    def main(params: Any) -> Any:
        stock, cost = params["S"], 0.0
        for _ in range(2):
            stock = stock - detrun.exponential()
            if stock < params["s"]:
                cost = cost + 1.0
                stock = params["S"]
            cost = cost + 0.3 * stock
        return cost

    low, high = 0.8, 2.0

    def mean(low: float, high: float) -> float:
        d = high - low
        e = math.exp(-d)
        orders = e + d * e + e * e
        used = 1.0 - (1.0 + d) * e  # E[x; x < D]
        # E[x + y; x + y < D] of two demands: a gamma of shape 2.
        twice = 2.0 * (1.0 - (1.0 + d + d * d / 2.0) * e)
        return orders + 0.3 * (2 * high - used - (twice + e * used))

    h = 1e-6
    truth = {
        "s": (mean(low + h, high) - mean(low - h, high)) / (2 * h),
        "S": (mean(low, high + h) - mean(low, high - h)) / (2 * h),
    }
    found = holds(main, {"S": high, "s": low}, truth, samples=40 * times)
    assert abs(found.value - mean(low, high)) <= 4 * found.value_std_error


@pytest.mark.parametrize(
    ("quorum", "times"),
    [(3, 1), pytest.param(1, 12, marks=pytest.mark.slow), pytest.param(3, 12, marks=pytest.mark.slow)],
)
def test_the_answer_that_makes_a_quorum(quorum: int, times: int) -> None:
    """The k-th of n exponential answers comes at m (1/n + … + 1/(n - k + 1)); lost ones cost a deadline.

    With a deadline t, where the quorum is counted as 3 if it is late: the mean is E[min(T, t)] + 3 P(T > t), with the
    law of the order statistic a binomial sum. 0.5 and 0.6 errors away.
    """

    async def main(params: Any) -> Any:
        answers: list[None] = []
        with trio.move_on_after(params["t"]) as late:
            async with trio.open_nursery() as nursery:

                async def server() -> None:
                    await trio.sleep(detrun.exponential(params["m"]))
                    answers.append(None)
                    if len(answers) == quorum:
                        nursery.cancel_scope.cancel()

                for _ in range(4):
                    nursery.start_soon(server)
        return trio.current_time() + (3.0 if late.cancelled_caught else 0.0)

    def later(at: float, mean: float) -> float:  # fewer than the quorum have come
        e = math.exp(-at / mean)
        return sum(math.comb(4, k) * (1 - e) ** k * e ** (4 - k) for k in range(quorum))

    deadline, mean, h = 0.9, 1.2, 1e-4
    # d/dt (integral of P(T > s) up to t + 3 P(T > t)); by the mean, everything scales but t.
    by_deadline = later(deadline, mean) + 3 * (later(deadline + h, mean) - later(deadline - h, mean)) / (2 * h)

    def cost(mean: float) -> float:
        pieces = 2000
        middle = sum(later((one + 0.5) * deadline / pieces, mean) for one in range(pieces)) * deadline / pieces
        return middle + 3 * later(deadline, mean)

    by_mean = (cost(mean + h) - cost(mean - h)) / (2 * h)
    holds(main, {"t": deadline, "m": mean}, {"t": by_deadline, "m": by_mean}, samples=24 * times)


@pytest.mark.parametrize("times", SIZES)
def test_a_walk_that_stops_at_a_barrier(times: int) -> None:
    """The gambler's ruin from 2 of 4: won with p²/(p² + q²); by p 2 p q/(p² + q²)². 0.6 errors away."""

    def main(params: Any) -> Any:
        at = 2
        while 0 < at < 4:
            at += 1 if detrun.bernoulli(params["p"]) else -1
        return float(at == 4)

    p = 0.6
    q = 1 - p
    holds(main, {"p": p}, {"p": 2 * p * q / (p * p + q * q) ** 2}, samples=60 * times)


def test_the_chance_to_exceed_a_quantile_of_an_exponential() -> None:
    """P(X > c) = exp(-r c), so the quantile c = -ln(1-p)/r moves by dc/dr = -(dP/dr) / (dP/dc) = ln(1-p)/r².

    No sample deviates.
    """

    def main(params: Any) -> Any:
        return 1.0 if detrun.exponential(1.0 / params["r"]) > params["c"] else 0.0

    rate, level = 2.0, -math.log(0.1) / 2.0
    found = holds(main, {"r": rate, "c": level}, {"r": -level * 0.1, "c": -rate * 0.1}, samples=16)
    moves = -found.grads["r"] / found.grads["c"]
    assert moves == pytest.approx(math.log(0.1) / rate**2, rel=1e-6)
