"""Stages of a pipeline against exact gradients. Seeds are fixed; where it is a mean, a test says how far off it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import trio

import detrun
from detrun import relaxed


def deviations(found: detrun.Gradient, name: str, truth: float) -> float:
    """How many standard errors the estimate is off."""
    return (found.grads[name] - truth) / found.std_error[name]


def shares(found: detrun.Gradient) -> dict[str, Any]:
    assert found.details is not None
    return {one["name"]: one for one in found.details.as_data()["stages"]}


@detrun.stage(name="ranker")
def rank(features: list[float], params: Any) -> list[Any]:
    return [detrun.exp(params["taste"] * one) for one in features]


@detrun.stage(derivative="finite", step=0.1, name="rules")
def rules(scores: list[Any]) -> list[float]:
    """Takes the bare numbers out."""
    total = math.fsum(float(one) for one in scores)
    return [float(one) * float(one) / total for one in scores]


@detrun.stage(derivative="policy", name="planner")
def plan(weights: list[Any]) -> int:
    return int(detrun.choice(3, weights))


async def pipeline(params: dict[str, Any]) -> Any:
    """A ranker, a rule engine, a planner, and an environment that branches on the plan and pays a fee besides."""
    chosen = plan(rules(rank([0.0, 0.5, 1.0], params)))
    await trio.sleep(chosen)
    return {0: 5.0, 1: 2.0, 2: 0.5}[chosen] * params["price"] + trio.current_time() * 0.0


def expected_loss(taste: float, price: float) -> float:
    """By enumeration: the planner chooses with probabilities proportional to the squares of the scores."""
    weights = [math.exp(taste * one) ** 2 for one in (0.0, 0.5, 1.0)]
    return price * math.fsum(w * c for w, c in zip(weights, (5.0, 2.0, 0.5), strict=True)) / math.fsum(weights)


def test_a_pipeline_of_four_rules_has_the_gradient_of_its_enumeration() -> None:
    """1.7 and -1.8 standard errors off with these seeds, which are 8 % and 6 % of the derivatives."""
    at, h = {"taste": 0.4, "price": 1.5}, 1e-5
    found = detrun.gradient(pipeline, at, samples=200)
    for name in at:
        up, down = (expected_loss(**{**at, name: at[name] + side}) for side in (h, -h))
        assert abs(deviations(found, name, (up - down) / (2 * h))) < 4
    by_stage = shares(found)
    assert list(by_stage) == ["ranker", "rules", "planner"]
    # All of d/dtaste is the planner's score, which has come through the rules and the ranker; d/dprice is outside.
    for one in by_stage.values():
        assert one["carries"]["taste"][0] == pytest.approx(found.grads["taste"])
        assert one["carries"]["price"][0] == pytest.approx(0.0, abs=1e-12)
    assert by_stage["planner"]["draws"] == 1.0
    assert by_stage["rules"]["evaluations"] == 1 + 1 + 4 * 3
    assert by_stage["rules"]["error"]["taste"][0] != 0.0
    assert all(name in str(found) for name in ("stage rules (finite, step 0.1)", "stage planner (policy)"))


@detrun.stage(derivative="finite", step=0.5, name="cubic")
def cubic(x: Any) -> dict[str, Any]:
    return {"y": float(x) ** 3, "is_large": float(x) > 10.0}


def test_differences_of_a_cube_are_off_by_the_square_of_the_step_and_say_so() -> None:
    """The central difference of x³ is 3x² + h², and Richardson's estimate of its error is exactly h²."""
    found = detrun.gradient(lambda params: 2.0 * cubic(params["x"])["y"], {"x": 2.0}, samples=2)
    assert found.grads["x"] == pytest.approx(2 * (12 + 0.25))
    assert shares(found)["cubic"]["error"]["x"] == [pytest.approx(2 * 0.25), 0.0]
    assert shares(found)["cubic"]["held"] == 1.0


@detrun.stage(derivative="finite", step=0.25, name="coin")
def coin(p: Any) -> float:
    return 1.0 if detrun.uniform() < float(p) else 0.0


def test_a_rule_that_draws_is_moved_under_the_draws_that_it_made() -> None:
    """E[L] = 3p + p (the draw outside is the next one, whatever was called again). -0.3 standard errors of 6 % off."""

    def main(params: dict[str, Any]) -> Any:
        return 3.0 * coin(params["p"]) + 2.0 * detrun.uniform() * params["p"]

    def plain(params: dict[str, Any]) -> Any:
        return (3.0 if detrun.uniform() < params["p"] else 0.0) + 2.0 * detrun.uniform() * params["p"]

    found = detrun.gradient(main, {"p": 0.5}, samples=150)
    assert abs(deviations(found, "p", 4.0)) < 4
    assert found.value == detrun.gradient(plain, {"p": 0.5}, samples=150).value
    assert detrun.record(main, {"p": 0.5}).digest == detrun.record(plain, {"p": 0.5}).digest


def test_a_jump_that_is_followed_by_a_curve_is_off_as_the_module_says() -> None:
    """For L = (k)³ with k rounded, jumps of 1 count 3k² - 3k + 1.5 in place of 3k² - 3k + 1: a known bias of 0.5.

    k = floor(x + U), x = 2.5: E[L] = 8 + 19 (x - 2) has the derivative 19; differences see 19.5. With these seeds 0.2
    standard errors of 8 % off.
    """

    @detrun.stage(derivative="finite", step=0.25, name="rounded")
    def rounded(x: Any) -> int:
        return math.floor(float(x))

    found = detrun.gradient(lambda params: rounded(params["x"] + detrun.uniform()) ** 3, {"x": 2.5}, samples=200)
    assert abs(deviations(found, "x", 19.5)) < 4
    bias, error = shares(found)["rounded"]["jumps"]["x"]
    assert abs(bias - 0.5) < 4 * error
    assert "as if what follows were linear: bias d/dx" in str(found)


def test_the_temperature_is_that_of_the_relaxed_stage_alone() -> None:
    """E[1 / (1 + exp((U - a) / T))] has the derivative s(a / T) - s((a - 1) / T). -0.2 standard errors of 3 % off."""

    @detrun.stage(derivative="relaxed", temperature=0.2, name="soft")
    def soft(x: Any) -> Any:
        return relaxed.threshold(x, detrun.uniform())

    def main(params: dict[str, Any]) -> Any:
        return soft(params["a"]) + 10.0 * relaxed.threshold(params["a"], detrun.uniform())

    found = detrun.gradient(main, {"a": 0.4}, samples=150)
    s = [1.0 / (1.0 + math.exp(-x / 0.2)) for x in (0.4, -0.6)]
    assert abs(deviations(found, "a", s[0] - s[1])) < 4
    assert shares(found)["soft"]["carries"]["a"][0] == pytest.approx(found.grads["a"])
    assert shares(found)["soft"]["setting"] == 0.2


def test_what_is_stopped_is_a_constant_in_every_gradient() -> None:
    stopped = detrun.stage(lambda x: [x * x], derivative="stop", name="frozen")

    def main(params: dict[str, Any]) -> Any:
        return stopped(params["x"])[0] * params["x"]

    for options in ({"samples": 2}, {}, {"mode": "forward"}):
        assert detrun.gradient(main, {"x": 3.0}, **options).grads == {"x": 9.0}


def test_continuous_draws_of_a_policy_stage_are_held_fixed_too() -> None:
    """L = 1 if X > 1 for X exponential with mean m: d/dm exp(-1/m) = exp(-1/m) / m². 0.2 standard errors of 8 % off."""

    @detrun.stage(derivative="policy")
    def service(mean: Any) -> Any:
        return detrun.exponential(mean)

    def main(params: dict[str, Any]) -> float:
        return 1.0 if service(params["mean"]) > 1.0 else 0.0

    found = detrun.gradient(main, {"mean": 2.0}, samples=250)
    assert abs(deviations(found, "mean", math.exp(-0.5) / 4)) < 4
    assert "0 of 250 runs passed" in found.bias


def test_a_stage_in_a_loop_carries_once_a_call_and_workers_change_nothing() -> None:
    @detrun.stage(derivative="finite", step=0.1, name="twice")
    def twice(x: Any) -> float:
        return 2.0 * float(x)

    def main(params: dict[str, Any]) -> Any:
        return twice(twice(params["x"]))

    found = detrun.gradient(main, {"x": 1.0}, samples=4)
    assert found.grads["x"] == pytest.approx(4.0)
    assert shares(found)["twice"]["carries"]["x"][0] == pytest.approx(8.0)
    assert detrun.gradient(main, {"x": 1.0}, samples=4, workers=2).details == found.details


def test_stages_inside_of_a_plain_stage_are_plain_calls() -> None:
    inner = detrun.stage(lambda p: detrun.bernoulli(p) + 0.0, derivative="policy", name="inner")
    outer = detrun.stage(lambda p: inner(p) + float(p), derivative="finite", step=0.01, name="outer")
    assert list(shares(detrun.gradient(lambda params: outer(params["p"]), {"p": 0.5}, samples=3))) == ["outer"]


def test_a_stage_of_a_task_may_use_shared_objects_and_one_of_a_thread_may_not() -> None:
    """L is 1 with probability p, after an operation on a cell: the derivative is 1. -1.4 standard errors off."""

    @detrun.stage(derivative="policy", name="counting")
    def counting(p: Any, cell: detrun.Atomic) -> Any:
        cell.fetch_add(1.0)
        return detrun.bernoulli(p)

    def of_threads(params: dict[str, Any]) -> Any:
        cell = detrun.Atomic(0.0)
        return counting(params["p"], cell) + cell.load()

    async def of_tasks(params: dict[str, Any]) -> Any:
        return of_threads(params)

    assert abs(deviations(detrun.gradient(of_tasks, {"p": 0.3}, samples=200), "p", 1.0)) < 4
    with pytest.raises(detrun.UsageError, match="counting holds a schedule point"):
        detrun.gradient(of_threads, {"p": 0.3}, samples=2)


def test_a_policy_stage_without_a_decision_is_warned_of() -> None:
    fixed = detrun.stage(lambda x: detrun.bernoulli(0.5) * x, derivative="policy", name="fixed")
    found = detrun.gradient(lambda params: fixed(params["x"]), {"x": 1.0}, samples=5)
    assert any("stage fixed declares derivative='policy', and no parameter moves" in one for one in found.warnings)


kept: list[float] = []
cell: list[Any] = []


def growing(given: list[Any]) -> float:
    kept.append(0.0)
    return len(kept) + float(given[0])


def appending(numbers: list[Any]) -> float:
    numbers.append(1.0)
    return 1.0


def through_a_cell(given: list[Any]) -> Any:
    return cell[-1] * 1.0


def weighing(given: list[Any]) -> float:
    detrun.set_weight(1.0, "main/worker")
    return float(given[0])


def sharing(given: list[Any]) -> float:
    return detrun.Atomic(1.0).load()


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (growing, "keeps a state"),
        (appending, "has changed its arguments"),
        (through_a_cell, "past its differences"),
        (weighing, "asked the run for 'set_weight'"),
        (sharing, "holds a schedule point|asked the run for"),
        (lambda given: [1.0] * (1 if float(given[0]) <= 1.0 else 2), "returns 1 numbers, and 2 at"),
        (lambda given: {1.0, float(given[0])}, "returned a set"),
    ],
)
def test_what_differences_cannot_do_is_refused_by_name(function: Callable[..., Any], says: str) -> None:
    probed = detrun.stage(function, derivative="finite", step=0.5, name="probed")

    def main(params: dict[str, Any]) -> Any:
        cell.append(params["x"])
        return 1.0 if isinstance(probed([params["x"]]), list | set) else params["x"]

    with pytest.raises(detrun.DetrunError, match=says):
        detrun.gradient(main, {"x": 1.0}, samples=2)


@pytest.mark.parametrize("options", [{}, {"kind": "policy"}, {"mode": "forward"}, {"samples": 10, "of": "cvar:0.5"}])
def test_gradients_that_do_not_honour_a_policy_stage_refuse_it(options: dict[str, Any]) -> None:
    with pytest.raises(detrun.UsageError, match=r"stage planner declares|stages with derivative='policy'"):
        detrun.gradient(lambda params: plan([params["p"], 1.0, 1.0]) + 0.0, {"p": 0.5}, **options)


def test_finite_gradients_of_the_whole_run_the_stages_as_they_are() -> None:
    found = detrun.gradient(lambda params: cubic(params["x"])["y"], {"x": 2.0}, kind="finite", samples=4, step=0.1)
    assert found.grads["x"] == pytest.approx(12.01)


def test_a_stage_that_raises_where_differences_look_ends_the_run_though_the_program_catches_it() -> None:
    """Only in some samples: those would be samples of another program."""
    root = detrun.stage(lambda x: math.sqrt(float(x)), derivative="finite", step=0.1, name="root")

    def main(params: dict[str, Any]) -> Any:
        try:
            return root(params["x"] + detrun.uniform())
        except ValueError:
            return 7.0

    with pytest.raises(detrun.NotDifferentiableError, match=r"stage root raises ValueError .* take a smaller step"):
        detrun.gradient(main, {"x": 0.0}, samples=30)


async def waits() -> None: ...


@pytest.mark.parametrize(
    ("function", "options", "says"),
    [
        (coin, {"derivative": "magic"}, "choose one of local"),
        (coin, {"derivative": "finite"}, "needs step="),
        (coin, {"derivative": "relaxed"}, "needs temperature="),
        (coin, {"step": 0.1}, "goes with derivative='finite', not with 'local'"),
        (coin, {"derivative": "finite", "step": 0.0}, "positive"),
        (waits, {"derivative": "finite", "step": 0.1}, "coroutine function"),
        (coin, {"derivative": "relaxed", "temperature": [0.1, 0.3]}, "falling numbers"),
        (coin, {"derivative": "relaxed", "temperature": -1.0}, "not negative"),
        (coin, {"baseline": "none"}, "goes with derivative='policy'"),
        (coin, {"derivative": "policy", "baseline": "mean"}, "is one of leave-one-out"),
    ],
)
def test_declarations_that_make_no_sense_are_refused(
    function: Callable[..., Any], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(detrun.UsageError, match=says):
        detrun.stage(function, **options)


def test_stages_are_plain_calls_where_a_tensor_of_torch_reaches_them_and_no_gradient_is_taken() -> None:
    """Values of torch are in plain runs, too: a recording, and the first run of a gradient of a mean."""
    torch = pytest.importorskip("torch")
    taste = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def main(params: Any) -> float:
        weights = rules([detrun.from_tensor(torch.exp(params["taste"] * one)) for one in (0.2, 0.5, 0.9)])
        return (1.0, 2.0, 4.0)[plan(weights)]

    def of_numbers(params: Any) -> float:
        return (1.0, 2.0, 4.0)[plan(rules(rank([0.2, 0.5, 0.9], params)))]

    assert (
        detrun.record(main, {"taste": taste}, seed=3).result == detrun.record(of_numbers, {"taste": 0.7}, seed=3).result
    )
    ours = detrun.gradient(of_numbers, {"taste": 0.7}, kind="expected", samples=8)
    theirs = detrun.gradient(main, {"taste": taste}, kind="expected", samples=8)
    assert float(theirs.grads["taste"]) == pytest.approx(ours.grads["taste"], rel=1e-9)
