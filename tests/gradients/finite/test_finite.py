"""Finite differences against closed forms, with the bias and the interleavings that they report."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio

import detrun
from detrun.errors import UsageError
from detrun.gradients.finite.report import FiniteDetails


def binomial_square(params: dict[str, Any]) -> Any:
    """E[Bin(n, p)²] = n p (1 - p) + n² p², whose derivative is n + 2 n (n - 1) p."""
    count = sum(detrun.bernoulli(params["p"]) for _ in range(10))
    return float(count**2)


def base_stock(params: dict[str, Any]) -> Any:
    """Holding cost 1 and backlog cost 4 with exponential demand: the derivative by the level S is 5 F(S) - 4."""
    demand = detrun.exponential(1.0)
    return max(params["S"] - demand, 0.0) + 4.0 * max(demand - params["S"], 0.0)


def waiting_time(params: dict[str, Any]) -> Any:
    """Lindley's recursion: the mean waiting time of 20 customers."""
    waiting = total = 0.0
    for _ in range(20):
        total = total + waiting
        waiting = detrun.maximum(0.0, waiting + detrun.exponential(params["mean"]) - detrun.exponential(1.0))
    return total / 20


def cube(params: dict[str, Any]) -> Any:
    return params["x"] ** 3


def plane(params: dict[str, Any]) -> Any:
    return params["x"] - 2.0 * params["y"] + 3.0 * params["z"] + detrun.normal(0.0, 0.1)


async def race(params: dict[str, Any]) -> Any:
    first = []

    async def runner(delay: Any) -> None:
        await trio.sleep(delay)
        first.append(delay)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner, params["delay"])
        nursery.start_soon(runner, 1.0)
    return float(first[0])


def details_of(found: detrun.Gradient) -> FiniteDetails:
    assert isinstance(found.details, FiniteDetails)
    return found.details


def test_the_derivative_of_a_mean_over_discrete_draws() -> None:
    """10 + 180 · 0.3 = 64; this fixed sample is 1.0 standard errors off."""
    found = detrun.gradient(binomial_square, {"p": 0.3}, kind="finite", samples=120, step=0.03)
    assert abs(found.grads["p"] - 64.0) < 4 * found.std_error["p"]
    assert found.cost is not None
    assert found.cost.runs == 1 + 120 * 3 + 30 * 2


def test_the_cost_of_a_base_stock() -> None:
    """5 (1 - exp(-1.2)) - 4 = -0.506; this fixed sample is 0.8 standard errors off."""
    found = detrun.gradient(base_stock, {"S": 1.2}, kind="finite", samples=120, step=0.05)
    assert abs(found.grads["S"] - (1.0 - 5.0 * math.exp(-1.2))) < 4 * found.std_error["S"]


def test_where_nothing_flips_differences_are_the_mean_of_local_gradients() -> None:
    """Up to kinks, which a step averages over. Of a smooth loss the smallest step of the pilot is taken."""
    found = detrun.gradient(waiting_time, {"mean": 0.6}, kind="finite", samples=30)
    local = detrun.gradient(waiting_time, {"mean": 0.6}, samples=30)
    assert found.grads["mean"] == pytest.approx(local.grads["mean"], rel=0.02)
    smooth = detrun.gradient(cube, {"x": 2.0}, kind="finite", samples=2)
    assert details_of(smooth).steps == {"x": pytest.approx(2e-3)}


@pytest.mark.parametrize(("difference", "bias"), [("central", 0.01**2), ("forward", 3 * 0.01), ("simultaneous", 1e-4)])
def test_the_bias_of_the_step_follows_from_it_and_twice_it(difference: str, bias: float) -> None:
    """Of x³ at 1 central differences give 3 + h², forward ones 3 + 3 h + h²."""
    found = detrun.gradient(cube, {"x": 1.0}, kind="finite", samples=8, step=0.01, difference=difference)
    estimated = details_of(found).step_bias["x"]
    assert estimated is not None
    assert estimated.mean == pytest.approx(bias, rel=0.02)
    assert found.grads["x"] == pytest.approx(3.0 + bias, rel=1e-3)
    assert any("pass a smaller step=" in one for one in found.warnings)


def test_simultaneous_perturbation_takes_two_runs_for_all_parameters() -> None:
    """The derivatives are 1, -2 and 3; this fixed sample is at most 1.1 standard errors off."""
    params = {"x": 1.0, "y": 1.0, "z": 0.0}
    found = detrun.gradient(plane, params, kind="finite", samples=200, difference="simultaneous", step=0.1)
    for name, exact in (("x", 1.0), ("y", -2.0), ("z", 3.0)):
        assert abs(found.grads[name] - exact) < 4 * found.std_error[name]
    assert found.cost is not None
    assert found.cost.runs == 1 + 200 * 2 + 50 * 2


@pytest.mark.parametrize("difference", ["central", "simultaneous"])
def test_a_step_is_chosen_where_the_program_works_and_larger_where_draws_flip(difference: str) -> None:
    """0.1 of 0.95 would make no probability."""
    found = detrun.gradient(binomial_square, {"p": 0.95}, kind="finite", samples=40, difference=difference)
    assert 0.00095 < details_of(found).steps["p"] <= 0.0095
    assert found.cost is not None
    assert found.cost.runs > 1 + 40 * 3


def test_runs_that_take_another_interleaving_are_counted_and_shown() -> None:
    found = detrun.gradient(race, {"delay": 0.99}, kind="finite", samples=8, step=0.02, strategy="fifo")
    details = details_of(found)
    assert details.changed == {"delay": 1.0}
    assert len(details.divergences) == 3
    assert details.divergences[0] == (
        "seed 0 with delay moved: from step 4 on: main/runner[1] at 1 s above, main/runner at 0.97 s below"
    )
    assert "100% of samples took another interleaving" in str(found)
    same = detrun.gradient(race, {"delay": 0.9}, kind="finite", samples=8, step=0.02, strategy="fifo")
    assert details_of(same).changed == {"delay": 0.0}
    assert details_of(same).divergences == []


async def flips_and_races(params: dict[str, Any]) -> Any:
    """A flip costs one task a step, and three others race for places whatever it does."""
    places: list[int] = []

    async def flips() -> None:
        if detrun.bernoulli(params["p"]):
            await trio.lowlevel.checkpoint()

    async def racer(number: int) -> None:
        for _ in range(4):
            await trio.lowlevel.checkpoint()
            places.append(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flips)
        for number in range(3):
            nursery.start_soon(racer, number)
    return float(sum(place * number for place, number in enumerate(places)))


def test_a_frozen_schedule_keeps_the_order_of_what_the_parameter_does_not_reach() -> None:
    """The derivative is 0: every difference of the free schedule is noise of its choices."""
    frozen, free = (
        detrun.gradient(flips_and_races, {"p": 0.5}, kind="finite", samples=20, step=0.4, schedule=schedule)
        for schedule in ("frozen", "free")
    )
    assert frozen.grads == {"p": 0.0}
    assert frozen.std_error == {"p": 0.0}
    assert free.std_error["p"] > 1.0
    details = details_of(frozen)
    assert details.changed["p"] == details_of(free).changed["p"] > 0.5
    assert "as recorded until 0 s: the program took another way" in details.divergences[0]
    assert "the schedule of one run while it fits" in frozen.bias


def test_the_chosen_step_is_the_same_for_every_number_of_workers() -> None:
    alone = detrun.gradient(binomial_square, {"p": 0.3}, kind="finite", samples=8)
    shared = detrun.gradient(binomial_square, {"p": 0.3}, kind="finite", samples=8, workers=2)
    assert (alone.grads, alone.std_error, alone.details) == (shared.grads, shared.std_error, shared.details)


def test_options_that_make_no_sense_are_refused() -> None:
    for keywords, said in (
        ({"kind": "local", "step": 0.1}, "goes with kind='finite'"),
        ({"kind": "finite", "difference": "backward"}, "choose one of central, forward, simultaneous"),
        ({"kind": "finite", "schedule": "fixed"}, "choose one of free, frozen"),
        ({"kind": "finite", "step": -0.1}, "positive number"),
        ({"kind": "finite", "step": 1e-30}, "too small to change"),
        ({"kind": "finite", "step": {"y": 0.1}}, "one step for each of x"),
    ):
        with pytest.raises(UsageError, match=said):
            detrun.gradient(cube, {"x": 1.0}, **keywords)  # type: ignore[arg-type]
