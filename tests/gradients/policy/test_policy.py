"""Policy gradients against closed forms and enumerations. Seeds are fixed; each test says how far off they are."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
import trio

import detrun
from detrun.counterfactuals.choice_log import ChoiceLog
from detrun.gradients.policy.baselines import BASELINES, baselines_of, terms
from detrun_scheduler.strategies import make
from detrun_scheduler.strategies.bounded import PreemptionBounded


def deviations(found: detrun.Gradient, name: str, truth: float) -> float:
    """How many standard errors the estimate is off."""
    return (found.grads[name] - truth) / found.std_error[name]


def mean_over_schedules(main: Callable[[Any], Any], params: dict[str, float], **options: Any) -> float:
    """The expected result, summed over every schedule with its probability."""
    search, mean = PreemptionBounded(None), []
    while search.advance():
        log = ChoiceLog(make("weighted"), search)
        result = detrun.record(main, params, strategy=log, **options).result
        mean.append(result * math.exp(log.log_probability))
    return math.fsum(mean)


def slope(main: Callable[[Any], Any], params: dict[str, float], name: str, **options: Any) -> float:
    """The derivative of that sum, by a central difference of it; exact to 1e-8."""
    step = 1e-4
    up, down = (
        mean_over_schedules(main, {**params, name: params[name] + sign * step}, **options) for sign in (1.0, -1.0)
    )
    return (up - down) / (2 * step)


async def race(params: dict[str, Any]) -> Any:
    """One task adds and one doubles, twice each; a weight says which is preferred, and moves the result besides."""
    x = detrun.Atomic(1.0)

    async def add() -> None:
        for _ in range(2):
            await trio.lowlevel.checkpoint()
            x.fetch_add(params["step"])

    async def double() -> None:
        for _ in range(2):
            await trio.lowlevel.checkpoint()
            x.fetch_mul(2.0)

    detrun.set_weight(params["weight"], "main/double")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(add)
        nursery.start_soon(double)
    return x.load()


def test_a_race_with_priority_weights_has_the_gradient_of_the_sum_over_all_schedules() -> None:
    """80 samples. The estimates are 0.7 and -0.4 standard errors off. `test_reach` has exact sums, and threads."""
    params = {"step": 1.0, "weight": 2.0}
    found = detrun.gradient(race, params, kind="policy", strategy="weighted", samples=80)
    for name in params:
        assert abs(deviations(found, name, slope(race, params, name))) < 4
    assert found.std_error["weight"] < 0.3
    assert found.kind == "policy"
    assert found.details is not None
    assert found.details.as_data()["choices"] > 2
    assert "unbiased" in found.bias
    assert found.warnings == []


@pytest.mark.parametrize(
    ("tasks", "strategy", "says"),
    [("main/triple", "weighted", "paths as `detrun show` prints"), ("main/double", "random", "strategy='weighted'")],
)
def test_weights_that_change_nothing_are_named(tasks: str, strategy: str, says: str) -> None:
    async def program(params: dict[str, Any]) -> float:
        detrun.set_weight(params["weight"], tasks)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.checkpoint, name="double")
            nursery.start_soon(trio.lowlevel.checkpoint, name="add")
        return 1.0

    found = detrun.gradient(program, {"weight": 2.0}, kind="policy", strategy=strategy, samples=3)
    assert found.grads == {"weight": 0.0}
    assert any(says in one for one in found.warnings)


async def binomial(params: dict[str, Any]) -> Any:
    wins = detrun.Atomic(0)

    async def one() -> None:
        await trio.lowlevel.checkpoint()
        if detrun.bernoulli(params["p"]):
            wins.fetch_add(1)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(one)
    return float(wins.load()) ** 2


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_square_of_a_binomial_number_has_its_derivative(baseline: str) -> None:
    """d/dp E[Bin(n, p)²] = n + 2 n (n - 1) p. 60 samples: -0.5 standard errors off without, -0.6 and -0.7 with one."""
    p, n = 0.3, 5
    found = detrun.gradient(binomial, {"p": p}, kind="policy", samples=60, baseline=baseline)
    assert abs(deviations(found, "p", n + 2 * n * (n - 1) * p)) < 4
    assert found.details is not None
    assert found.details.as_data()["draws"] == n


def test_baselines_take_variance_off_and_none_depends_on_its_own_sample() -> None:
    errors = [
        detrun.gradient(binomial, {"p": 0.3}, kind="policy", samples=60, baseline=one).std_error["p"]
        for one in ("none", "leave-one-out", "fitted")
    ]
    assert errors[0] > errors[1] > errors[2]
    losses, scores = [1.0, 2.0, 4.0, 9.0], [0.5, -1.0, 2.0, 0.1]
    for kind in BASELINES:
        before = baselines_of(kind, losses, scores)
        after = baselines_of(kind, [100.0, *losses[1:]], [7.0, *scores[1:]])
        assert before[0] == pytest.approx(after[0], rel=1e-12)
        assert kind == "none" or before[1] != after[1]
    assert baselines_of("leave-one-out", losses, scores)[3] == pytest.approx(7.0 / 3.0)
    assert baselines_of("fitted", [1.0, 3.0], [0.0, 2.0]) == [3.0, 0.0]


def test_the_error_with_the_mean_of_the_others_is_that_of_the_jackknife() -> None:
    """Against leaving out each sample in turn, and the mean against each sample with its own baseline."""
    generator = random.Random(3)
    paths, losses, scores = ([generator.gauss(2.0, 1.0) for _ in range(9)] for _ in range(3))

    def mean(kept: list[int]) -> float:
        one, two, three = ([numbers[place] for place in kept] for numbers in (paths, losses, scores))
        baselines = baselines_of("leave-one-out", two, three)
        return math.fsum(a + (b - c) * d for a, b, c, d in zip(one, two, baselines, three, strict=True)) / len(kept)

    found = terms("leave-one-out", paths, losses, scores)
    everyone = list(range(9))
    assert math.fsum(found) / 9 == pytest.approx(mean(everyone), rel=1e-12)
    for place in everyone:
        without = mean([other for other in everyone if other != place])
        assert found[place] == pytest.approx(9 * mean(everyone) - 8 * without, rel=1e-9)


async def retry(params: dict[str, Any]) -> Any:
    """The number of attempts until a server answers in time. Its mean is 1 / (1 - q), q = exp(-timeout / mean)."""
    attempts = 0
    while True:
        attempts += 1
        with trio.move_on_after(0.5):
            await trio.sleep(detrun.exponential(params["mean"]))
            return float(attempts)


def test_continuous_draws_are_decisions_so_that_timeouts_flip_by_them() -> None:
    """d/dm 1/(1-q) = q τ/m² / (1-q)². 100 samples, 0.9 standard errors off; pathwise the count does not move."""
    mean, timeout = 0.8, 0.5
    q = math.exp(-timeout / mean)
    truth = q * timeout / mean**2 / (1 - q) ** 2
    found = detrun.gradient(retry, {"mean": mean}, kind="policy", samples=100)
    assert abs(deviations(found, "mean", truth)) < 4
    assert "except" not in found.bias
    pathwise = detrun.gradient(retry, {"mean": mean}, kind="policy", continuous="pathwise", samples=10)
    assert pathwise.grads["mean"] == 0.0
    assert "without what flips by them" in pathwise.bias
    assert "a parameter decides" in pathwise.bias


def test_a_timeout_that_is_a_parameter_is_named_as_what_the_score_does_not_see() -> None:
    async def program(params: dict[str, Any]) -> Any:
        with trio.move_on_after(params["timeout"]):
            await trio.sleep(detrun.exponential(1.0))
        return trio.current_time()

    found = detrun.gradient(program, {"timeout": 0.7}, kind="policy", samples=10)
    assert "10 of 10 runs passed such a place" in found.bias
    assert any("timeout at" in line for line in found.details.lines())  # type: ignore[union-attr]
    assert found.bias.startswith("No draw, no effect and no choice of the scheduler has a probability that depends on")
    assert "timeout: its score is 0 by construction" in found.bias


def test_the_score_of_an_external_effect_gives_the_gradient_of_its_mean() -> None:
    """The effect is normal with mean x: d E[(2 result - 1)²] / dx = 4 (2x - 1) for variance 1. 200 samples, 1.7 off."""
    world = random.Random(5)

    @detrun.external(derivative=detrun.Score(lambda result, x: -0.5 * (result - x) ** 2))
    def measured(x: float) -> float:
        assert type(x) is float
        return world.gauss(x, 1.0)

    async def program(params: dict[str, Any]) -> Any:
        found = measured(params["x"])
        assert type(found) is float
        return (2.0 * found - 1.0) ** 2

    x = 1.5
    found = detrun.gradient(program, {"x": x}, kind="policy", samples=200)
    assert abs(deviations(found, "x", 4 * (2 * x - 1))) < 4
    assert found.details is not None
    assert found.details.as_data()["effects"] == 1


def test_scores_of_effects_are_decisions_of_their_task_whatever_the_result_is() -> None:
    """A truth value with probability x: d E[5 or 1] / dx = 4; -1.2 and -0.1 standard errors off with 200 samples.

    The effect answers for the costs after it, as a draw does; a result that is a list has the sum of its logarithms.
    """
    world = random.Random(5)

    @detrun.external(derivative=detrun.Score(lambda result, x: detrun.log(x) if result else detrun.log(1 - x)))
    def answers(x: float) -> bool:
        return world.random() < x

    @detrun.external(derivative=detrun.Score(lambda result, x: sum(-0.5 * (one - x) ** 2 for one in result)))
    async def several(x: float) -> list[float]:
        return [world.gauss(x, 1.0) for _ in range(3)]

    async def program(params: dict[str, Any]) -> None:
        detrun.cost(100.0 * world.random())  # before: it adds no variance
        detrun.cost(5.0 if answers(params["x"]) else 1.0)

    async def listed(params: dict[str, Any]) -> Any:
        return sum(await several(params["x"]))

    found = detrun.gradient(program, {"x": 0.3}, kind="policy", samples=200)
    assert abs(deviations(found, "x", 4.0)) < 4
    assert found.std_error["x"] < 0.5
    found = detrun.gradient(listed, {"x": 0.3}, kind="policy", samples=60)
    assert abs(deviations(found, "x", 3.0)) < 4
    assert found.details is not None
    assert found.details.as_data()["effects"] == 1


def test_recorded_results_of_effects_are_weighed_by_their_scores() -> None:
    """The effect is normal with mean x: d E[(2 result - 1)²] / dx = 4 (2x - 1), at 1.7 from 60 runs at 1.5."""
    world = random.Random(5)

    @detrun.external(derivative=detrun.Score(lambda result, x: -0.5 * (result - x) ** 2))
    def measured(x: float) -> float:
        return world.gauss(x, 1.0)

    async def program(params: dict[str, Any]) -> Any:
        return (2.0 * measured(params["x"]) - 1.0) ** 2

    kept = recordings_of(program, {"x": 1.5}, 60)
    found = detrun.gradient(program, {"x": 1.7}, kind="policy", reuse=kept)
    assert abs(deviations(found, "x", 4 * (2 * 1.7 - 1))) < 4
    assert found.warnings == []
    far = detrun.gradient(program, {"x": 4.0}, kind="policy", reuse=kept)
    assert far.warnings[0].startswith("effective sample size: the 60 recordings are worth ")


def test_what_a_draw_never_gives_has_no_score_and_the_statement_says_so() -> None:
    """d E[3 coin] / dp is 3 at 1, too; there the score is that of the one outcome there is."""

    def coin(params: dict[str, Any]) -> float:
        return 3.0 * detrun.bernoulli(params["p"])

    found = detrun.gradient(coin, {"p": 1.0}, kind="policy", samples=4)
    assert found.grads["p"] == 0.0
    assert found.bias.startswith("in 4 of 4 runs a draw has outcomes of probability 0")
    assert "probability 0" not in detrun.gradient(coin, {"p": 0.5}, kind="policy", samples=4).bias
    kept = recordings_of(coin, {"p": 0.5}, 12)
    again = detrun.gradient(coin, {"p": 1.0}, kind="policy", reuse=kept)
    assert "probability 0" in again.bias
    assert "cannot come out so" in again.bias
    losers = [one for one in kept if detrun.replay(coin, {"p": 0.5}, recording=one).result == 0.0]
    with pytest.raises(detrun.UsageError, match="can come out so"):
        detrun.gradient(coin, {"p": 1.0}, kind="policy", reuse=losers)


def test_draws_that_say_so_are_left_alone_and_uniform_ends_move_along_the_path() -> None:
    async def program(params: dict[str, Any]) -> Any:
        detrun.bernoulli(params["p"], derivative="stop")
        return detrun.uniform(0.0, params["p"])

    found = detrun.gradient(program, {"p": 0.5}, kind="policy", samples=20)
    assert 0.2 < found.grads["p"] < 0.8  # the mean of a uniform number is half its end
    assert found.details is not None
    assert found.details.as_data()["unscored"] == 2
    assert "not scored" in found.bias


def test_weights_that_the_strategy_ignores_are_warned_of() -> None:
    found = detrun.gradient(race, {"step": 1.0, "weight": 2.0}, kind="policy", samples=4)
    assert any("use strategy='weighted'" in warning for warning in found.warnings)
    assert found.grads["weight"] == 0.0


def test_workers_change_nothing_and_options_are_checked() -> None:
    one, two = (
        detrun.gradient(
            race, {"step": 1.0, "weight": 2.0}, kind="policy", strategy="weighted", samples=12, workers=count
        )
        for count in (1, 2)
    )
    assert one.grads == two.grads
    for wrong in ({"baseline": "mean"}, {"continuous": "both"}, {"step": 0.1}):
        with pytest.raises(detrun.UsageError):
            detrun.gradient(race, {"step": 1.0, "weight": 2.0}, kind="policy", samples=4, **wrong)  # type: ignore[arg-type]
    with pytest.raises(detrun.UsageError, match="goes with kind='policy'"):
        detrun.gradient(race, {"step": 1.0, "weight": 2.0}, baseline="none")


def recordings_of(main: Any, params: dict[str, float], count: int, **options: Any) -> list[Any]:
    return [detrun.record(main, params, seed=seed, params=params, **options).recording for seed in range(count)]


def test_recordings_at_other_parameters_give_the_gradient_here() -> None:
    """The race at weight 2.5 from 60 runs at 2; -0.1 standard errors off."""
    kept = recordings_of(race, {"step": 1.0, "weight": 2.0}, 60, strategy="weighted")
    params = {"step": 1.2, "weight": 2.5}
    found = detrun.gradient(race, params, kind="policy", reuse=kept)
    assert abs(deviations(found, "weight", slope(race, params, "weight"))) < 4
    mean = mean_over_schedules(race, params)
    assert abs(found.value - mean) < 4 * found.value_std_error
    data = found.details.as_data()  # type: ignore[union-attr]
    assert 30 < data["effective_samples"] < 60
    assert data["recordings"] == found.samples == 60


def test_at_the_recorded_parameters_all_recordings_weigh_the_same() -> None:
    """And the derivative is that of new runs with a mean for baseline, seed by seed."""
    kept = recordings_of(binomial, {"p": 0.3}, 20)
    found = detrun.gradient(binomial, {"p": 0.3}, kind="policy", reuse=kept)
    assert found.details.as_data()["effective_samples"] == pytest.approx(20.0)  # type: ignore[union-attr]
    new = detrun.gradient(binomial, {"p": 0.3}, kind="policy", samples=20)
    assert found.value == new.value
    assert found.grads["p"] == pytest.approx(new.grads["p"] * 19 / 20, rel=1e-9)


def test_outcomes_of_draws_are_kept_where_the_same_units_would_give_others() -> None:
    """d/dp E[Bin(5, p)²] at 0.4 from 60 runs at 0.3; -1.3 standard errors off. Far away little is left."""
    kept = recordings_of(binomial, {"p": 0.3}, 60)
    found = detrun.gradient(binomial, {"p": 0.4}, kind="policy", reuse=kept)
    assert abs(deviations(found, "p", 5 + 40 * 0.4)) < 4
    wins = [math.sqrt(detrun.replay(binomial, {"p": 0.3}, recording=one).result) for one in kept]
    weights = [(0.4 / 0.3) ** won * (0.6 / 0.7) ** (5 - won) for won in wins]
    effective = found.details.as_data()["effective_samples"]  # type: ignore[union-attr]
    assert effective == pytest.approx(sum(weights) ** 2 / sum(one * one for one in weights), rel=1e-9)
    by_wins = [one for _, one in sorted(zip(wins, kept, strict=True), key=lambda pair: pair[0])]
    far = detrun.gradient(binomial, {"p": 0.95}, kind="policy", reuse=[*by_wins[:9], by_wins[-1]])
    assert any("are worth 1 runs" in warning for warning in far.warnings)


def test_recordings_that_cannot_be_reused_are_refused_or_left_out() -> None:
    async def program(params: dict[str, Any]) -> Any:
        with trio.move_on_after(params["timeout"]):
            await trio.sleep(0.5)
            await trio.lowlevel.checkpoint()
        return trio.current_time()

    kept = recordings_of(program, {"timeout": 0.7}, 2) + recordings_of(program, {"timeout": 0.4}, 2)
    found = detrun.gradient(program, {"timeout": 0.6}, kind="policy", reuse=kept)
    assert "2 of 4 runs take other steps now, or cannot come out so, and are left out" in found.bias
    with pytest.raises(detrun.UsageError, match="0 of 2 recordings take the same steps"):
        detrun.gradient(program, {"timeout": 0.3}, kind="policy", reuse=kept[:2])
    with pytest.raises(detrun.UsageError, match="needs at least two"):
        detrun.gradient(program, {"timeout": 0.3}, kind="policy", reuse=kept[:1])
    unnamed = [detrun.record(program, {"timeout": 0.7}).recording] * 2
    with pytest.raises(detrun.UsageError, match="record it with params= besides"):
        detrun.gradient(program, {"timeout": 0.3}, kind="policy", reuse=unnamed)
    forced = [
        detrun.record(binomial, {"p": 0.3}, params={"p": 0.3}, force={("main/one", 0): True}, seed=seed).recording
        for seed in range(2)
    ]
    with pytest.raises(detrun.UsageError, match="forced draws"):
        detrun.gradient(binomial, {"p": 0.3}, kind="policy", reuse=forced)
    with pytest.raises(detrun.UsageError, match="reuse= brings its samples"):
        detrun.gradient(program, {"timeout": 0.6}, kind="policy", reuse=kept, samples=10)
