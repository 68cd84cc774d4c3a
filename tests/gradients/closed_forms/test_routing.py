"""Jobs that a threshold routes to one of two servers, against a vectorized simulation of a million runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import trio

import detrun

JOBS = 3
LONGEST = 2.0
TRUTH = 0.5708  # the slow test makes it


async def routed(params: Any) -> Any:
    """Mean time of jobs; short ones go to a server that takes twice their size, others to one with an overhead.

    Sizes are exponential with mean 1. They are drawn in units of the threshold, so that a score sees who is routed
    where: a threshold that is a parameter would be compared without a draw that knows it.
    """
    longest = params["longest"]
    spent: Any = 0.0

    async def server(jobs: Any, seconds: Callable[[Any], Any]) -> None:
        nonlocal spent
        async for arrived, size in jobs:
            await trio.sleep(seconds(size))
            spent = spent + (trio.current_time() - arrived)

    async with trio.open_nursery() as nursery:
        short, shorts = trio.open_memory_channel[Any](math.inf)
        long, longs = trio.open_memory_channel[Any](math.inf)
        nursery.start_soon(server, shorts, lambda size: 2.0 * size)
        nursery.start_soon(server, longs, lambda size: size + 0.5)
        async with short, long:
            for _ in range(JOBS):
                share = detrun.exponential(1.0 / longest)
                await (short if share < 1.0 else long).send((trio.current_time(), share * longest))
                await trio.sleep(detrun.exponential(1.0))
    return spent / JOBS


def spent(sizes: Any, gaps: Any, longest: float) -> Any:
    """The same by numpy: the mean time of each run."""
    busy = np.zeros((2, sizes.shape[1]))
    total = np.zeros(sizes.shape[1])
    for size, gap in zip(sizes, gaps, strict=True):
        short = size < longest
        until = np.where(short, busy[0] + 2.0 * size, busy[1] + size + 0.5)
        total += until
        busy = np.maximum(np.where(np.stack([short, ~short]), until, busy) - gap, 0.0)
    return total / len(sizes)


def difference(step: float) -> tuple[float, float]:
    """With its standard error; common random numbers."""
    sizes, gaps = np.random.default_rng(3).exponential(size=(2, JOBS, 1_000_000))
    slopes = (spent(sizes, gaps, LONGEST + step) - spent(sizes, gaps, LONGEST - step)) / (2 * step)
    return float(slopes.mean()), float(slopes.std()) / 1e3


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("expected", {"samples": 40, "pairs": 2}),
        ("policy", {"samples": 400}),
        pytest.param("expected", {"samples": 600, "pairs": 2}, marks=pytest.mark.slow),
        pytest.param("policy", {"samples": 4000}, marks=pytest.mark.slow),
    ],
)
def test_expected_and_policy_agree_with_a_difference(kind: Any, options: dict[str, Any]) -> None:
    """Of a million pairs of runs with the step 0.05, which the slow test below makes. 0.6 and -1.0 errors away."""
    found = detrun.gradient(routed, {"longest": LONGEST}, kind=kind, **options)
    assert abs(found.grads["longest"] - TRUTH) <= 4 * found.std_error["longest"]
    assert found.std_error["longest"] < 0.6 * TRUTH


def test_local_gradients_do_not_see_who_is_routed_where() -> None:
    found = detrun.gradient(routed, {"longest": LONGEST}, samples=3)
    assert found.grads["longest"] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.slow
def test_the_difference_over_a_million_runs() -> None:
    """Its standard error is 0.0034; twice the step moves it by less than two of them."""
    slope, error = difference(0.05)
    assert slope == pytest.approx(TRUTH, abs=1e-4)
    assert abs(difference(0.1)[0] - slope) < 2 * error


@pytest.mark.slow
def test_soft_routing_approaches_it_as_the_temperature_falls() -> None:
    """One job: E = 2 E[X; X < t] + E[X + 1/2; X >= t], by t (t - 1/2) exp(-t)."""

    def one(params: Any) -> Any:
        size = detrun.exponential(1.0)
        return detrun.relaxed.where(params["longest"] - size, 2.0 * size, size + 0.5)

    truth = (LONGEST - 0.5) * math.exp(-LONGEST)
    found = [
        detrun.gradient(one, {"longest": LONGEST}, kind="relaxed", temperature=soft, samples=4000)
        for soft in (1.0, 0.3, 0.1)
    ]
    off = [abs(one.grads["longest"] - truth) for one in found]
    assert off[2] < 4 * found[2].std_error["longest"]
    assert off[0] > 4 * found[0].std_error["longest"]
