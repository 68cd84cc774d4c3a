"""The standard error that each kind reports is the spread of its estimates over repetitions, and kinds differ as known.

On d/dp E[Bin(n, p)²] = n + 2 n (n - 1) p, whose noise is far from normal where a step makes few coins flip.
"""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest

import detrun

COINS, P = 4, 0.5
SLOPE = COINS + 2 * COINS * (COINS - 1) * P
KINDS: dict[str, dict[str, Any]] = {
    "expected": {"pairs": 1},
    "policy": {},
    "finite": {"step": 0.1},
    "relaxed": {"smoothing": 0.1},  # exact here: the mean is a parabola
}
SAMPLES = 20


def squared(params: Any) -> Any:
    return float(sum(detrun.bernoulli(params["p"]) for _ in range(COINS))) ** 2


def estimates(kind: Any, count: int) -> list[detrun.Gradient]:
    return [
        detrun.gradient(squared, {"p": P}, kind=kind, samples=SAMPLES, seed=1000 * start, **KINDS[kind])
        for start in range(count)
    ]


@pytest.mark.parametrize(
    ("kind", "repetitions", "within"),
    [("relaxed", 20, 0.5)] + [pytest.param(kind, 300, 0.2, marks=pytest.mark.slow) for kind in KINDS],
)
def test_the_standard_error_is_the_spread_over_repetitions(kind: str, repetitions: int, within: float) -> None:
    """The spread of 300 is known to 4 %, so 20 % is five of its errors; of 20 to 16 %, so 50 % is three.

    Of 300 the errors are 0.94, 0.95, 1.04 and 0.91 of the spread. The mean of the repetitions is the derivative.
    """
    found = estimates(kind, repetitions)
    slopes = [one.grads["p"] for one in found]
    spread = statistics.stdev(slopes)
    assert statistics.fmean(one.std_error["p"] for one in found) == pytest.approx(spread, rel=within)
    assert abs(statistics.fmean(slopes) - SLOPE) < 4 * spread / math.sqrt(repetitions)


def of_expected() -> float:
    """One coin is flipped while the others have y heads, weighted with n: n (2 y + 1).

    Its variance is 4 n² (n-1) p (1-p), of which the score of all coins, n / p (1-p), explains all but one in n.
    """
    return math.sqrt(4 * COINS * (COINS - 1) * P * (1 - P))


def of_policy() -> float:
    """The loss without its mean, times the score (x - n p) / (p (1 - p))."""
    chances = [math.comb(COINS, x) * P**x * (1 - P) ** (COINS - x) for x in range(COINS + 1)]
    mean = sum(chance * x**2 for x, chance in enumerate(chances))
    return deviation([(chance, (x**2 - mean) * (x - COINS * P) / (P * (1 - P))) for x, chance in enumerate(chances)])


def of_finite() -> float:
    """On both sides x coins show heads, and y more on the upper one alone: ((x + y)² - x²) / 2h."""
    width = 2 * KINDS["finite"]["step"]
    low, rest = P - width / 2, 1 - P - width / 2
    law = []
    for x in range(COINS + 1):
        for y in range(COINS + 1 - x):
            ways = math.comb(COINS, x) * math.comb(COINS - x, y)
            chance = ways * low**x * width**y * rest ** (COINS - x - y)
            law.append((chance, ((x + y) ** 2 - x**2) / width))
    return deviation(law)


def deviation(law: list[tuple[float, float]]) -> float:
    mean = sum(chance * value for chance, value in law)
    assert mean == pytest.approx(SLOPE)
    return math.sqrt(sum(chance * (value - mean) ** 2 for chance, value in law))


@pytest.mark.parametrize(
    ("kind", "exact"), [("expected", of_expected()), ("policy", of_policy()), ("finite", of_finite())]
)
def test_the_standard_error_is_the_one_that_enumeration_gives(kind: str, exact: float) -> None:
    """So they have the known order: 3.5 by a pair of runs, 18.0 by a step, 21.4 by scores, over the root of samples."""
    found = detrun.gradient(squared, {"p": P}, kind=kind, samples=300, **KINDS[kind])  # type: ignore[arg-type]
    assert found.std_error["p"] * math.sqrt(300) == pytest.approx(exact, rel=0.2)
