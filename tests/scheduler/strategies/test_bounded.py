"""Exhaustive searches against interleavings on paper."""

from __future__ import annotations

from collections import Counter
from math import factorial, prod
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from detrun import NondeterminismError, UsageError, explore
from detrun_scheduler.strategies import make
from tests.explore import racy_programs
from tests.explore.racy_programs import different_each_time, lost_update, polling

checkpoint = trio.lowlevel.checkpoint
Order = tuple[int, ...]


def orders(lengths: list[int], strategy: str) -> tuple[list[Order], Any]:
    """The orders of steps of tasks that take so many each, as the strategy meets them."""
    found: list[Order] = []

    async def main() -> None:
        order: list[int] = []

        async def worker(task: int) -> None:
            for step in range(lengths[task]):
                if step:
                    await checkpoint()
                order.append(task)

        async with trio.open_nursery() as nursery:
            for task in range(len(lengths)):
                nursery.start_soon(worker, task)
        found.append(tuple(order))

    result = explore(main, strategy=strategy, schedules=100_000, directory=None)
    assert result.verdict == "holds", result.reason
    return found, result


def preemptions(order: Order, lengths: list[int]) -> int:
    """The number of times that a task is followed by another although it has steps left."""
    done: Counter[int] = Counter()
    count = 0
    for task, following in zip(order, (*order[1:], None), strict=True):
        done[task] += 1
        count += following is not None and following != task and done[task] < lengths[task]
    return count


def all_orders(lengths: list[int]) -> set[Order]:
    if not any(lengths):
        return {()}
    found = set()
    for task, length in enumerate(lengths):
        if length:
            rest = [one - (at == task) for at, one in enumerate(lengths)]
            found |= {(task, *order) for order in all_orders(rest)}
    return found


small = st.lists(st.integers(1, 3), min_size=1, max_size=3)


@settings(max_examples=20)
@given(small)
def test_depth_first_search_runs_every_interleaving_once(lengths: list[int]) -> None:
    found, result = orders(lengths, "dfs")
    count = factorial(sum(lengths)) // prod(map(factorial, lengths))
    assert len(found) == len(set(found)) == result.schedules == count
    assert set(found) == all_orders(lengths)


@settings(max_examples=20)
@given(small, st.integers(0, 3))
def test_the_bound_is_exact_and_fewer_preemptions_come_first(lengths: list[int], bound: int) -> None:
    found, result = orders(lengths, f"bounded:{bound}")
    within = {order for order in all_orders(lengths) if preemptions(order, lengths) <= bound}
    assert len(found) == len(set(found))
    assert set(found) == within
    counts = [preemptions(order, lengths) for order in found]
    assert counts == sorted(counts)
    everything = within == all_orders(lengths)
    assert ("all interleavings" in result.reason) == everything


def test_one_preemption_finds_the_lost_update_and_none_does_not() -> None:
    assert explore(lost_update, strategy="bounded:0", directory=None).verdict == "holds"
    assert explore(lost_update, strategy="bounded:1", directory=None).verdict == "failed"


@pytest.mark.parametrize("strategy", ["bounded:1", "dpor"])
def test_a_loop_that_polls_ends_and_the_bound_says_how(strategy: str) -> None:
    result = explore(polling, strategy=strategy, schedules=2_000, max_steps=5_000, directory=None)
    assert result.failure is None
    assert "in which no task is chosen more than" in make_bound(strategy)


def make_bound(strategy: str) -> str:
    oracle: Any = make(strategy)
    explore(polling, strategy=oracle, schedules=50, max_steps=5_000, directory=None)
    bound: str = oracle.bound()
    return bound


def test_a_search_of_a_program_that_does_not_repeat_itself_says_so() -> None:
    racy_programs.runs = 0
    with pytest.raises(NondeterminismError, match="detrun check"):
        explore(different_each_time, strategy="dfs", directory=None)


@pytest.mark.parametrize("name", ["pct:0", "pct:x", "random:3", "bounded:-1", "bounded:", "walk"])
def test_a_strategy_that_does_not_exist_or_takes_no_such_number_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        make(name)
