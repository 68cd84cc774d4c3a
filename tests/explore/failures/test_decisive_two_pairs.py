"""Where two things are in the wrong order and each is enough to fail, both are named."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from detrun.execution.options import Options
from detrun.explore.campaign.program import Program
from detrun.explore.failures.explain import explain
from detrun.explore.failures.functions import function_at
from detrun.explore.failures.trials import TrialRunner


class Shop:
    """Has to be stocked before it is asked, and priced before it sells."""

    def __init__(self) -> None:
        self.stock = self.price = 0
        self.asked = self.sold = -1


async def asks(shop: Shop) -> None:
    shop.asked = shop.stock


async def stocks(shop: Shop) -> None:
    shop.stock = 5


async def sells(shop: Shop) -> None:
    shop.sold = shop.price


async def prices(shop: Shop) -> None:
    shop.price = 3


async def two_reasons() -> None:
    shop = Shop()
    async with trio.open_nursery() as nursery:
        for one in (asks, stocks, sells, prices):
            nursery.start_soon(one, shop)
    assert (shop.asked, shop.sold) == (5, 3)


async def one_reason() -> None:
    shop = Shop()
    async with trio.open_nursery() as nursery:
        for one in (asks, stocks):
            nursery.start_soon(one, shop)
    assert shop.asked == 5


@pytest.mark.one_python
@pytest.mark.parametrize(
    ("program", "functions"), [(two_reasons, ["asks", "stocks", "sells", "prices"]), (one_reason, ["asks", "stocks"])]
)
def test_as_many_pairs_are_named_as_have_to_be_reversed(program: Any, functions: list[str]) -> None:
    runner = TrialRunner(Program(program, (), Options()), 0)
    tasks = ["main", *(f"main/{name}" for name in functions), "main"]
    failing = runner.try_order(tasks)
    assert failing.error is not None
    told = explain(runner, failing)
    assert told.verified, str(told)
    named = ["" if one.line is None else function_at(one.line.file, one.line.number) for one in told.places]
    assert sorted(named) == sorted(functions), str(told)
    assert told.labels == ("first", "then") * (len(functions) // 2)
