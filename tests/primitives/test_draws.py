"""Draws: the numbers of a task do not depend on the interleaving, have the right distribution, and check parameters."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import detrun

SAMPLES = 4000
# Kolmogorov-Smirnov and chi-square tests fail by chance at this rate, each, were seeds not fixed.
FALSE_ALARM = 1e-6


def in_a_run(function: Callable[[], Any], seed: int = 0) -> Any:
    async def main() -> Any:
        return function()

    return detrun.record(main, seed=seed).result


def sample(draw: Callable[[], Any], seed: int = 1) -> list[Any]:
    return list(in_a_run(lambda: [draw() for _ in range(SAMPLES)], seed))


async def draws_in_tasks(extra_checkpoints: int = 0) -> dict[str, list[float]]:
    numbers: dict[str, list[float]] = {}

    async def task(name: str) -> None:
        mine = numbers[name] = []
        for _ in range(3):
            mine.append(detrun.uniform())
            for _ in range(1 + extra_checkpoints):
                await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(task, name, name=name)
    return {name: numbers[name] for name in sorted(numbers)}


def test_a_task_gets_the_same_numbers_under_every_schedule() -> None:
    fifo = detrun.record(draws_in_tasks, seed=7, strategy="fifo")
    results = set()
    for strategy in ("random", "pct"):
        # The strategy's seed is the run's, so other schedules come from other programs: extra checkpoints.
        for extra in range(10):
            run = detrun.record(draws_in_tasks, extra, seed=7, strategy=strategy)
            assert run.result == fifo.result
            results.add(run.recording.digest)
    assert len(results) > 10  # they did interleave in many ways


def test_numbers_differ_between_tasks_draws_and_seeds() -> None:
    numbers = [
        number
        for seed in range(3)
        for mine in detrun.record(draws_in_tasks, seed=seed).result.values()
        for number in mine
    ]
    assert len(set(numbers)) == len(numbers) == 27


async def sequence_number_under_a_key(order: tuple[str, ...]) -> dict[str, float]:
    return {name: detrun.uniform(key=name) for name in order}


def test_a_key_names_its_own_stream_for_every_task_at_every_time() -> None:
    forward = detrun.record(sequence_number_under_a_key, ("x", "y", "z"), seed=4).result
    backward = detrun.record(sequence_number_under_a_key, ("z", "y", "x"), seed=4).result
    assert forward == backward
    assert len(set(forward.values())) == 3


def test_equal_keys_of_other_types_are_other_streams_whichever_comes_first() -> None:
    """1, 1.0 and True are one key of a dict; were they one stream, the numbers would depend on who drew first."""
    keys = (1, 1.0, True, "1", b"1", (1,), (1.0,))

    def numbers(order: Any) -> dict[str, float]:
        return dict(in_a_run(lambda: {repr(key): detrun.uniform(key=key) for key in order}))

    assert numbers(keys) == numbers(keys[::-1])
    assert len(set(numbers(keys).values())) == len(keys)


@pytest.mark.parametrize("key", [{"a", "b"}, frozenset("ab"), object(), ["a"], ("a", {"b"}), detrun.Value(1.0)])
def test_a_key_without_a_stable_text_is_refused(key: object) -> None:
    with pytest.raises(detrun.UsageError, match=r"key=.* use a string, a number"):
        in_a_run(lambda: detrun.uniform(key=key))


@pytest.mark.parametrize(
    ("draw", "distribution"),
    [
        (lambda: detrun.uniform(-1.0, 3.0), stats.uniform(-1.0, 4.0)),
        (lambda: detrun.exponential(2.5), stats.expon(scale=2.5)),
        (lambda: detrun.normal(1.0, 2.0), stats.norm(1.0, 2.0)),
        (lambda: detrun.lognormal(0.5, 0.75), stats.lognorm(0.75, scale=math.exp(0.5))),
        (lambda: detrun.uniform(key="one key"), stats.uniform()),
    ],
)
def test_continuous_draws_follow_their_distribution(draw: Callable[[], float], distribution: Any) -> None:
    """Kolmogorov-Smirnov against scipy's distribution functions; the seed is fixed."""
    assert stats.kstest(sample(draw), distribution.cdf).pvalue > FALSE_ALARM


def test_the_distribution_test_can_fail() -> None:
    wrong = stats.kstest(sample(lambda: detrun.exponential(2.5)), stats.expon(scale=2.9).cdf)
    assert wrong.pvalue < FALSE_ALARM


def chi_square(values: list[Any], probabilities: dict[Any, float]) -> float:
    counts = Counter(values)
    assert set(counts) <= set(probabilities)
    kept = {value: p for value, p in probabilities.items() if p * SAMPLES >= 5}
    observed = [counts[value] for value in kept]
    rest = 1 - sum(kept.values())
    expected = [p * SAMPLES for p in kept.values()]
    if rest * SAMPLES > 1:
        observed.append(SAMPLES - sum(observed))
        expected.append(rest * SAMPLES)
    else:
        expected = [one * sum(observed) / sum(expected) for one in expected]
    return float(stats.chisquare(observed, expected).pvalue)


@pytest.mark.parametrize("mean", [0.3, 3.7, 40.0])
def test_poisson_counts_follow_their_distribution(mean: float) -> None:
    """Chi-square against scipy's probabilities; the seed is fixed."""
    probabilities = {count: float(stats.poisson(mean).pmf(count)) for count in range(200)}
    assert chi_square(sample(lambda: detrun.poisson(mean)), probabilities) > FALSE_ALARM


def test_choices_and_coins_follow_their_weights() -> None:
    """Chi-square; the seed is fixed."""
    assert chi_square(sample(lambda: detrun.choice("abcd")), dict.fromkeys("abcd", 0.25)) > FALSE_ALARM
    assert chi_square(sample(lambda: detrun.choice(3)), dict.fromkeys(range(3), 1 / 3)) > FALSE_ALARM
    weighted = sample(lambda: detrun.choice(["x", "y", "z"], [1, 2.5, 0.5]))
    assert chi_square(weighted, {"x": 0.25, "y": 0.625, "z": 0.125}) > FALSE_ALARM
    assert chi_square(sample(lambda: detrun.bernoulli(0.3)), {True: 0.3, False: 0.7}) > FALSE_ALARM


def test_successive_draws_are_independent() -> None:
    """Pairs over a 4 by 4 grid are uniform; chi-square, the seed is fixed."""
    cells = sample(lambda: (int(4 * detrun.uniform()), int(4 * detrun.uniform())))
    assert chi_square(cells, {(i, j): 1 / 16 for i in range(4) for j in range(4)}) > FALSE_ALARM


@given(low=st.floats(-1e6, 1e6), width=st.floats(0, 1e6), seed=st.integers(0, 100))
def test_uniform_stays_in_its_interval(low: float, width: float, seed: int) -> None:
    assert low <= in_a_run(lambda: detrun.uniform(low, low + width), seed) <= low + width


def test_draws_at_the_ends_of_their_parameters() -> None:
    assert in_a_run(lambda: detrun.uniform(2.0, 2.0)) == 2.0
    assert in_a_run(lambda: detrun.normal(3.0, 0.0)) == 3.0
    assert in_a_run(lambda: detrun.poisson(0)) == 0
    assert in_a_run(lambda: [detrun.bernoulli(0), detrun.bernoulli(1)]) == [False, True]
    assert in_a_run(lambda: detrun.choice([5])) == 5
    assert set(sample(lambda: detrun.choice("abc", [0, 1, 0]))) == {"b"}


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda: detrun.uniform(2.0, 1.0), "low=2.0 is above high=1.0"),
        (lambda: detrun.uniform(0.0, math.inf), "high=inf is not finite; give a finite number"),
        (lambda: detrun.exponential(0.0), "mean=0.0 is not positive; give a number above 0"),
        (lambda: detrun.exponential("1"), "must be a number"),
        (lambda: detrun.normal(0.0, -1.0), "std=-1.0 is negative"),
        (lambda: detrun.lognormal(math.nan, 1.0), "log_mean=nan"),
        (lambda: detrun.poisson(-1.0), "mean=-1.0 is negative"),
        (lambda: detrun.bernoulli(1.5), "probability=1.5 is not a probability; give a number from 0 to 1"),
        (lambda: detrun.choice([]), "at least one"),
        (lambda: detrun.choice({"a", "b"}), r"cannot index set .* sorted\(options\)"),
        (lambda: detrun.choice(iter("ab")), "cannot index"),
        (lambda: detrun.choice("ab", [1.0]), "1 weights for 2 options"),
        (lambda: detrun.choice("ab", [0.0, 0.0]), "no positive finite sum"),
    ],
)
def test_wrong_parameters_are_named_with_their_value(draw: Callable[[], Any], said: str) -> None:
    with pytest.raises(detrun.UsageError, match=said):
        in_a_run(draw)


@pytest.mark.parametrize(
    "draw",
    [
        detrun.uniform,
        detrun.exponential,
        detrun.normal,
        detrun.lognormal,
        lambda: detrun.poisson(1),
        lambda: detrun.bernoulli(0.5),
        lambda: detrun.choice(2),
    ],
)
def test_a_draw_outside_a_run_is_refused_with_the_way_out(draw: Callable[[], Any]) -> None:
    with pytest.raises(detrun.UsageError, match=r"called outside a run; .* detrun\.record"):
        draw()


def test_continuous_draws_are_differentiable_in_their_parameters() -> None:
    """With the draw held fixed: uniform a + (b - a) u, exponential m e, normal m + s z, lognormal exp of that."""

    async def main(params: Any) -> Any:
        return (
            detrun.uniform(params["low"], params["high"])
            + detrun.exponential(params["mean"])
            + detrun.normal(0.0, params["std"])
            + detrun.lognormal(params["log"], 0.0)
        )

    params = {"low": 1.0, "high": 3.0, "mean": 2.0, "std": 0.5, "log": 0.25}
    gradient = detrun.gradient(main, params, seed=3)

    async def units() -> list[float]:
        return [detrun.uniform(), detrun.exponential(), detrun.normal(), detrun.lognormal(0.0, 0.0)]

    unit, exponential, normal, _ = detrun.record(units, seed=3).result
    expected = {"low": 1 - unit, "high": unit, "mean": exponential, "std": normal, "log": math.exp(0.25)}
    assert gradient.grads == pytest.approx(expected)


@pytest.mark.parametrize(
    ("draw", "kind"),
    [
        (lambda p: detrun.bernoulli(p / 4), "bernoulli"),
        (lambda p: detrun.poisson(p), "poisson"),
        (lambda p: detrun.choice(2, [p, 1.0]), "choice"),
    ],
)
def test_a_discrete_draw_with_a_differentiable_parameter_is_a_discontinuity_site(
    draw: Callable[[Any], Any], kind: str
) -> None:
    async def main(params: Any) -> Any:
        return params["p"] * 2.0 + (1.0 if draw(params["p"]) else 0.0)

    gradient = detrun.gradient(main, {"p": 1.5}, seed=1)
    assert gradient.grads["p"] == 2.0
    found = gradient.validity["p"]
    assert found.site is not None
    assert found.site.kind == kind
    assert found.radius < math.inf


def test_a_coin_says_how_far_its_probability_is_from_the_other_side() -> None:
    async def main(params: Any) -> Any:
        return params["p"] if detrun.bernoulli(params["p"]) else 2.0 * params["p"]

    unit = in_a_run(detrun.uniform, seed=5)
    assert detrun.gradient(main, {"p": 0.3}, seed=5).validity["p"].radius == pytest.approx(abs(unit - 0.3))
