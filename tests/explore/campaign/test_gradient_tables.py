"""The derivative of a race, against the table worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import detrun
from detrun import UsageError, explore

checkpoint = trio.lowlevel.checkpoint
X, A = 3.0, 1.5


async def race(params: Any) -> Any:
    """``x += a`` against ``x *= 2``, each a load and a store."""
    x = detrun.Atomic(params["x"], name="x")

    async def add() -> None:
        loaded = x.load()
        await checkpoint()
        x.store(loaded + params["a"])

    async def double() -> None:
        loaded = x.load()
        await checkpoint()
        x.store(loaded * 2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(add)
        nursery.start_soon(double)
    return x.load()


# By hand: (order of the four steps) -> (value, d/dx, d/da).
BY_HAND = {
    ("add", "add", "double", "double"): (2 * (X + A), 2, 2),
    ("double", "double", "add", "add"): (2 * X + A, 2, 1),
    ("add", "double", "add", "double"): (2 * X, 2, 0),
    ("double", "add", "add", "double"): (2 * X, 2, 0),
    ("add", "double", "double", "add"): (X + A, 1, 1),
    ("double", "add", "double", "add"): (X + A, 1, 1),
}


def test_depth_first_search_gives_the_whole_table_and_plain_means() -> None:
    result = explore(race, strategy="dfs", gradient_of={"x": X, "a": A}, directory=None)
    table = result.table
    assert table is not None
    assert result.verdict == "holds"
    assert table.complete
    assert {row.order: (row.value, row.grads["x"], row.grads["a"]) for row in table.rows} == BY_HAND
    assert [row.times for row in table.rows] == [1] * 6
    assert table.value == pytest.approx(sum(value for value, _, _ in BY_HAND.values()) / 6)
    assert table.grads["x"] == pytest.approx(10 / 6)
    assert table.grads["a"] == pytest.approx(5 / 6)
    assert table.std_error == {"x": 0.0, "a": 0.0}


def test_a_sampled_table_weighs_schedules_by_how_often_they_came() -> None:
    result = explore(race, strategy="random", schedules=600, gradient_of={"x": X, "a": A}, directory=None)
    table = result.table
    assert table is not None
    assert sum(row.times for row in table.rows) == 600
    for row in table.rows:
        assert (row.value, row.grads["x"], row.grads["a"]) == BY_HAND[row.order]
    # The walk takes each first choice with 1/2, and from then on a coin as long as both can run.
    exact = sum(
        weight * BY_HAND[order][2]
        for order, weight in zip(BY_HAND, (1 / 4, 1 / 4, 1 / 8, 1 / 8, 1 / 8, 1 / 8), strict=True)
    )
    # Four standard errors: false alarms once in 16,000 seeds, and the seed is fixed.
    assert abs(table.grads["a"] - exact) < 4 * table.std_error["a"]


def test_workers_give_the_same_table() -> None:
    one, other = (
        explore(race, schedules=100, strategy="random", workers=workers, gradient_of={"x": X, "a": A}, directory=None)
        for workers in (1, 2)
    )
    assert one.table == other.table


def test_the_table_prints_every_schedule_and_the_means() -> None:
    text = str(explore(race, strategy="dfs", gradient_of={"x": X, "a": A}, directory=None))
    assert "add add double double" in text
    assert "d/dx" in text
    assert text.splitlines()[-1].startswith("mean")


def test_draws_give_one_schedule_several_values() -> None:
    async def noisy(params: Any) -> Any:
        await checkpoint()
        return params["x"] * detrun.uniform(0, 1)

    result = explore(noisy, strategy="random", schedules=20, gradient_of={"x": 1.0}, directory=None)
    assert result.table is not None
    assert len({row.schedule for row in result.table.rows}) == 1
    assert len(result.table.rows) == 20


def test_arguments_beside_the_parameters_are_refused() -> None:
    with pytest.raises(UsageError, match="partial"):
        explore(race, 1, gradient_of={"x": X}, directory=None)


def test_a_program_without_a_number_for_a_result_has_no_gradient() -> None:
    async def none(params: Any) -> None:
        pass

    with pytest.raises(detrun.NotDifferentiableError):
        explore(none, gradient_of={"x": X}, directory=None)
