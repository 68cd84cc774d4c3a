"""The second run of a sample, whose scored draws come out anew. Seeds are fixed."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio

import detrun


async def orders(params: Any) -> None:
    """What is asked for is large and random, and each choice adds 1 to what it costs: the derivative is 5."""
    for _ in range(5):
        asked = detrun.exponential(10.0)
        is_dear = detrun.bernoulli(params["p"])
        await trio.lowlevel.checkpoint()
        detrun.cost(asked + is_dear)


def test_what_both_runs_were_given_is_no_noise() -> None:
    twin = detrun.gradient(orders, {"p": 0.4}, kind="policy", samples=20, baseline="twin")
    others = detrun.gradient(orders, {"p": 0.4}, kind="policy", samples=40)
    assert abs(twin.grads["p"] - 5.0) < 4 * twin.std_error["p"]
    assert twin.std_error["p"] < 0.3 * others.std_error["p"]
    assert twin.value_std_error > 0.0
    assert twin.cost is not None
    assert twin.cost.runs == 41
    assert "baseline twin" in str(twin)


def test_numbers_of_random_are_made_anew_and_those_of_a_seeded_generator_stay() -> None:
    def main(params: Any) -> float:
        given = random.Random(3).random() + detrun.normal(0.0, 20.0)
        waited = random.expovariate(1.0 / params["mean"])
        return given + waited * random.choices([3.0, 1.0], [params["p"], 0.5])[0]

    found = detrun.gradient(main, {"mean": 2.0, "p": 0.5}, kind="policy", samples=100, baseline="twin")
    for name, exact in (("mean", 2.0), ("p", 2.0)):
        assert abs(found.grads[name] - exact) < 4 * found.std_error[name]
        assert found.std_error[name] < 1.0  # 2, if the other samples are the baseline

    def constant(params: Any) -> float:
        return random.Random(3).expovariate(1.0 / params["mean"])

    with pytest.raises(detrun.UsageError, match="cannot do so with"):
        detrun.gradient(constant, {"mean": 2.0}, kind="policy", samples=2, baseline="twin")


def test_continuous_draws_may_move_along_the_path_in_both() -> None:
    def main(params: Any) -> Any:
        return detrun.exponential(params["mean"]) * (3.0 if detrun.bernoulli(params["p"]) else 1.0)

    options: dict[str, Any] = {"kind": "policy", "baseline": "twin", "continuous": "pathwise"}
    found = detrun.gradient(main, {"mean": 2.0, "p": 0.5}, samples=80, **options)
    for name, exact in (("mean", 2.0), ("p", 4.0)):
        assert abs(found.grads[name] - exact) < 4 * found.std_error[name]


def test_a_number_is_not_a_decision_in_one_run_and_given_to_the_other() -> None:
    runs: list[tuple[bool, Any]] = []

    async def main(params: Any) -> float:
        is_first = detrun.bernoulli(params["p"])
        second = detrun.uniform() if is_first else detrun.bernoulli(params["p"])
        runs.append((is_first, second))
        return float(second)

    found = detrun.gradient(main, {"p": 0.5}, kind="policy", samples=60, baseline="twin")
    assert abs(found.grads["p"] - 0.5) < 4 * found.std_error["p"]  # of p / 2 + (1 - p) p
    pairs = zip(runs[-120::2], runs[-119::2], strict=True)
    agree = [(given < 0.5) == decided for (is_given, decided), (is_twin, given) in pairs if is_twin and not is_given]
    assert len(agree) > 10
    assert not all(agree)  # as they do where both are made of the same bits


def test_choices_of_the_scheduler_have_no_twin() -> None:
    async def main(params: Any) -> float:
        order: list[str] = []

        async def step(name: str) -> None:
            await trio.lowlevel.checkpoint()
            order.append(name)

        detrun.set_weight(params["weight"], "main/step")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(step, "a")
            nursery.start_soon(step, "b")
        return float(order[0] == "a")

    with pytest.raises(detrun.UsageError, match="choices of the scheduler are scored"):
        detrun.gradient(main, {"weight": 2.0}, kind="policy", strategy="weighted", samples=2, baseline="twin")
