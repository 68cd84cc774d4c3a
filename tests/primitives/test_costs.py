"""Costs that are declared where they arise: the loss of a run is their sum, for every kind of gradient."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import detrun


async def declared(params: dict[str, Any]) -> Any:
    """Two tasks whose waits are costs, and what is returned besides."""

    async def customer() -> None:
        for _ in range(2):
            await trio.sleep(detrun.exponential(params["mean"]))
            detrun.cost(params["price"] * trio.current_time(), "wait")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(customer)
        nursery.start_soon(customer)
    return 2.0 * params["price"]


async def returned(params: dict[str, Any]) -> Any:
    """The same loss, added up by the program."""
    costs: list[Any] = [2.0 * params["price"]]

    async def customer() -> None:
        for _ in range(2):
            await trio.sleep(detrun.exponential(params["mean"]))
            costs.append(params["price"] * trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(customer)
        nursery.start_soon(customer)
    return sum(costs)


PARAMS = {"mean": 1.0, "price": 2.0}


def test_the_result_of_a_run_is_the_sum_and_its_costs_say_where_they_arose() -> None:
    run = detrun.record(declared, PARAMS)
    plain = detrun.record(returned, PARAMS)
    assert run.result == plain.result
    assert run.digest == plain.digest  # a cost takes no step, and the digest covers the sum
    assert [one.name for one in run.costs] == ["wait"] * 4
    assert {one.task for one in run.costs} == {"main/customer", "main/customer[1]"}
    assert [one.step for one in run.costs] == sorted(one.step for one in run.costs)
    assert run.result == 4.0 + sum(one.value for one in run.costs)
    assert str(run.costs[0]).startswith(f"wait {run.costs[0].value:g} by main/customer")
    assert f"costs   wait {run.result - 4.0:.9g} in 4" in str(run)
    assert detrun.replay(declared, PARAMS, recording=run.recording).costs == run.costs


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "forward"},
        {"window": 4},
        {"kind": "local", "samples": 3},
        {"kind": "expected", "samples": 3},
        {"kind": "finite", "samples": 3, "step": 0.01},
        {"kind": "relaxed", "samples": 3, "smoothing": 0.1},
        {"kind": "relaxed", "samples": 3, "temperature": 0.1},
        {"kind": "policy", "samples": 3, "continuous": "pathwise"},
    ],
)
def test_every_kind_of_gradient_takes_the_sum_for_the_loss(options: dict[str, Any]) -> None:
    found, truth = (detrun.gradient(main, PARAMS, **options) for main in (declared, returned))
    assert found.value == pytest.approx(truth.value, rel=1e-12)
    assert found.grads == pytest.approx(truth.grads, rel=1e-9)


def test_a_program_with_costs_may_return_nothing_and_one_without_may_not() -> None:
    def main(params: dict[str, Any]) -> None:
        for _ in range(params.get("count", 2)):
            detrun.cost(params["x"] ** 2)

    found = detrun.gradient(main, {"x": 3.0})  # type: ignore[arg-type]
    assert (found.value, found.grads["x"]) == (18.0, 12.0)
    assert detrun.record(main, {"x": 3.0, "count": 0}).result is None


@pytest.mark.parametrize(
    ("value", "options"),
    [("a", {}), (None, {}), (float("nan"), {}), (1.0, {"depends_on": [1]})],
)
def test_what_is_no_cost_is_refused(value: Any, options: dict[str, Any]) -> None:
    with pytest.raises(detrun.UsageError, match=r"detrun\.cost"):
        detrun.record(lambda: detrun.cost(value, **options))
    with pytest.raises(detrun.UsageError, match="outside a run"):
        detrun.cost(1.0)


def test_a_result_that_costs_cannot_be_added_to_is_refused() -> None:
    def main() -> str:
        detrun.cost(1.0)
        return "done"

    with pytest.raises(detrun.UsageError, match="return a number, which is added, or None"):
        detrun.record(main)
