"""Stages that wait, jumps behind finite stages, falling temperatures and baselines, against closed forms."""

from __future__ import annotations

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


@detrun.stage(derivative="finite", step=0.25, name="plain")
def plain(x: Any) -> float:
    return float(x)


def test_a_branch_behind_a_finite_stage_is_measured_as_what_the_gradient_misses() -> None:
    """P(x + U > 1) = x has the derivative 1, and the linear rule sees 0. Measured in 100 of 200 samples."""

    def main(params: dict[str, Any]) -> float:
        return 1.0 if plain(params["x"] + detrun.uniform()) > 1.0 else 0.0

    found = detrun.gradient(main, {"x": 0.5}, samples=200)
    assert found.grads["x"] == 0.0
    bias, error = shares(found)["plain"]["jumps"]["x"]
    assert abs(bias + 1.0) < 4 * error < 1.0
    assert shares(found)["plain"]["measured"] == 100
    assert found.cost is not None
    assert found.cost.runs == 1 + 200 + 2 * 100


def test_what_a_decision_makes_of_a_finite_stage_is_no_bias_where_it_is_smooth() -> None:
    """A coin with probability y² behind y: a central difference of y² is exact, so nothing is missed. 1.0 off."""

    @detrun.stage(derivative="policy", name="coin")
    def coin(y: Any) -> Any:
        return detrun.bernoulli(y * y)

    found = detrun.gradient(lambda params: 4.0 * coin(plain(params["x"])), {"x": 0.6}, samples=200)
    assert abs(deviations(found, "x", 4.8)) < 4
    bias, error = shares(found)["plain"]["jumps"]["x"]
    assert abs(bias) < 4 * error < 4.0


def test_where_the_program_fails_with_what_a_stage_gives_aside_the_report_says_so() -> None:
    def main(params: dict[str, Any]) -> Any:
        y = plain(params["x"])
        return {0.5: y}[float(y)]

    found = detrun.gradient(main, {"x": 0.5}, samples=4)
    assert "in 2 more the program fails with what it gives a step aside" in str(found)
    assert shares(found)["plain"]["jumps"] == {}


@detrun.stage(derivative="policy", name="slow coin")
async def slow_coin(p: Any) -> Any:
    with trio.move_on_after(0.5):
        await trio.sleep(2.0)
    return detrun.bernoulli(p)


async def beside(params: dict[str, Any]) -> Any:
    """While the stage waits another task tosses a coin of its own, which is no decision of the stage."""
    found: list[Any] = [0.0, 0.0]

    async def of_stage() -> None:
        found[0] = await slow_coin(params["p"])

    async def other() -> None:
        await trio.sleep(0.25)
        found[1] = detrun.bernoulli(params["p"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(of_stage)
        nursery.start_soon(other)
    return 3.0 * found[0] + 5.0 * found[1]


def test_a_stage_that_waits_decides_for_itself_alone() -> None:
    """3 of the 8: what flips at the other coin is left out. -0.2 standard errors off; time passes as without rules."""
    found = detrun.gradient(beside, {"p": 0.4}, samples=200)
    assert abs(deviations(found, "p", 3.0)) < 4
    assert shares(found)["slow coin"]["draws"] == 1.0
    assert found.digest == detrun.record(beside, {"p": 0.4}).digest
    with pytest.raises(detrun.UsageError, match="stage slow coin declares"):
        detrun.gradient(beside, {"p": 0.4})


@detrun.stage(derivative="relaxed", temperature=0.2, name="soft")
async def soft(x: Any) -> Any:
    await trio.lowlevel.checkpoint()
    return relaxed.threshold(x, 0.5)


@detrun.stage(derivative="stop", name="frozen")
async def frozen(numbers: list[Any]) -> Any:
    assert type(numbers[0]) is float
    await trio.lowlevel.checkpoint()
    return [numbers[0] * 2.0]


@detrun.stage(name="local")
async def local(x: Any) -> Any:
    await trio.lowlevel.checkpoint()
    return x * x


def test_every_rule_but_differences_goes_for_coroutines() -> None:
    """The threshold of the other task is exact although the stage waits: the derivative is that of a sigmoid alone."""

    async def main(params: dict[str, Any]) -> Any:
        x = params["x"]
        found: list[Any] = []

        async def one() -> None:
            found.append(await soft(x) + (await frozen([x]))[0] * await local(x))

        async def other() -> None:
            for _ in range(6):
                found.append(100.0 * relaxed.threshold(x, 0.5))
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            nursery.start_soon(other)
        return sum(found)

    x = 0.7
    s = detrun.sigmoid((x - 0.5) / 0.2)
    found = detrun.gradient(main, {"x": x}, samples=2)
    assert found.grads["x"] == pytest.approx(s * (1 - s) / 0.2 + 2 * x * 2 * x)
    assert shares(found)["local"]["carries"]["x"][0] == pytest.approx(4 * x * x)


def test_a_stage_that_starts_tasks_is_refused() -> None:
    @detrun.stage(derivative="policy", name="starting")
    async def starting(p: Any) -> Any:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 0)
        return detrun.bernoulli(p)

    async def main(params: dict[str, Any]) -> Any:
        return 1.0 * await starting(params["p"])

    with pytest.raises(detrun.UsageError, match="starting declares derivative='policy' and starts tasks"):
        detrun.gradient(main, {"p": 0.5}, samples=2)


def test_falling_temperatures_show_how_the_gradient_moves() -> None:
    """Of the mean of sigmoid((a - U) / T): each level is the gradient that the stage has at that temperature alone."""

    def at(temperature: Any) -> detrun.Gradient:
        made = detrun.stage(lambda x: relaxed.threshold(x, detrun.uniform()), derivative="relaxed", name="made",
                            temperature=temperature)  # fmt: skip
        return detrun.gradient(lambda params: made(params["a"]), {"a": 0.2}, samples=20)

    found, first, last = at([2.0, 0.2]), at(2.0), at(0.2)
    assert found.grads == last.grads
    assert found.details is not None
    row = found.details.as_data()["trend"]["a"]
    assert [one["temperature"] for one in row] == ["2", "0.2"]
    assert [one["mean"] for one in row] == pytest.approx([first.grads["a"], last.grads["a"]])
    assert any("still moved by" in one and "from 2 to 0.2" in one for one in found.warnings)
    assert "d/da by temperature: " in str(found)
    assert "by temperature" not in str(last)


def test_policy_stages_have_baselines_of_their_own_and_answer_for_what_comes_after_them() -> None:
    """Two coins of value 1 behind a constant of 10: the derivative is 2. Each statement is exact for these seeds."""

    def errors(baseline: str | None, declares: bool) -> float:
        @detrun.stage(derivative="policy", baseline=baseline, name="tossing")
        def tossing(p: Any) -> Any:
            return detrun.bernoulli(p)

        def main(params: dict[str, Any]) -> Any:
            total: Any = 0.0
            for before in (10.0, 0.0):
                earlier = before + 5.0 * detrun.bernoulli(0.5)
                for paid in (earlier, tossing(params["p"])):
                    if declares:
                        detrun.cost(paid)
                    else:
                        total += paid
            return total

        found = detrun.gradient(main, {"p": 0.5}, samples=60)
        assert abs(deviations(found, "p", 2.0)) < 4
        return found.std_error["p"]

    assert errors("none", False) > 2 * errors(None, False)
    assert errors(None, True) < 0.9 * errors(None, False)
    assert errors("linear", True) < 2 * errors(None, True)
    assert errors("fitted", False) < 2 * errors(None, False)


def test_a_stage_that_only_some_runs_call_is_one_of_those() -> None:
    """1 + coin with probability 1/2, else x: the derivative is (1 + 1) / 2."""
    coin = detrun.stage(lambda p: detrun.bernoulli(p) + 0.0, derivative="policy", name="coin")

    def main(params: dict[str, Any]) -> Any:
        return 1.0 + coin(params["x"]) if detrun.bernoulli(0.5) else params["x"]

    found = detrun.gradient(main, {"x": 0.5}, samples=60)
    assert abs(deviations(found, "x", 1.0)) < 4
    assert 0.2 < shares(found)["coin"]["calls"] < 0.8


@detrun.stage(derivative="policy", name="chooses")
def chooses(weights: list[Any]) -> Any:
    return detrun.choice([3.0, 1.0], weights)


@detrun.stage(derivative="relaxed", temperature=0.2, name="softly")
def softly(x: Any) -> Any:
    return relaxed.threshold(x, 0.5)


def test_the_expected_gradient_crosses_stages_by_their_rules_and_sees_jumps_besides() -> None:
    """Behind a finite stage a branch flips by a draw: P(x + U > 1) = x has the derivative 1, which is found exactly.

    A choice of 3 with probability x / (x + 1), else 1, has 2 / (1 + x)², by its score; a sigmoid is the softened stage.
    """

    def branch(params: dict[str, Any]) -> float:
        return 1.0 if plain(params["x"] + detrun.uniform()) > 1.0 else 0.0

    found = detrun.gradient(branch, {"x": 0.5}, kind="expected", samples=5)
    assert found.grads["x"] == pytest.approx(1.0)
    assert "by the rules that they declare: plain finite (step 0.25)" in found.bias

    def rest(params: dict[str, Any]) -> Any:
        return chooses([params["x"], 1.0]) + softly(params["x"]) + 10.0 * detrun.bernoulli(params["x"])

    x = 0.5
    found = detrun.gradient(rest, {"x": x}, kind="expected", samples=60)
    assert abs(deviations(found, "x", 2 / (1 + x) ** 2 + 0.25 / 0.2 + 10.0)) < 4
    data = found.details.as_data()  # type: ignore[union-attr]
    assert data["tried"] == 1.0  # the coin outside; the choice has its score


def test_the_expected_gradient_refuses_a_jump_inside_of_a_finite_stage_by_name() -> None:
    steps = detrun.stage(lambda x: float(int(4.0 * x)), derivative="finite", step=0.05, name="steps")

    def main(params: dict[str, Any]) -> float:
        return 1.0 if steps(params["x"] + detrun.uniform()) > 3.5 else 0.0

    with pytest.raises(detrun.NotDifferentiableError, match="knows no density at 1 sites"):
        detrun.gradient(main, {"x": 0.5}, kind="expected", samples=20)
