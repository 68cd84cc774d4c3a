"""Closure variables of two calls of a function are no race, and one that is shared in whatever way is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import detrun
from detrun.races.detector import DataRaceError


def together(*functions: Callable[[], object]) -> None:
    threads = [threading.Thread(target=one) for one in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def counter() -> Callable[..., int]:
    count = 0

    def add(number: int = 1) -> int:
        nonlocal count
        count += number
        return count

    return add


def two_counters() -> None:
    together(counter(), counter())


def two_counters_that_are_called_by_others() -> None:
    def twice(function: Callable[..., int]) -> None:
        function()
        sum(function(number) for number in range(2))

    together(partial(twice, counter()), partial(twice, counter()))


def explored(main: Callable[[], Any]) -> Any:
    return detrun.explore(
        main,
        strategy="random",
        schedules=20,
        preemption="opcode",
        races=True,
        directory=None,
        shrink=False,
        explain=False,
    )


@pytest.mark.parametrize("main", [two_counters, two_counters_that_are_called_by_others])
def test_calls_that_share_nothing_have_no_race(main: Callable[[], Any]) -> None:
    found = explored(main)
    assert found.verdict == "passed", found.reason


def one_counter() -> None:
    add = counter()
    together(add, add)


def one_counter_that_c_code_calls() -> None:
    """The frames of `map` and `partial` are none, so neither cell is found."""
    add = counter()
    counter()(1)
    together(lambda: list(map(add, [1])), add)


def one_counter_that_c_code_calls_last() -> None:
    add = counter()
    together(add, lambda: sorted([1], key=add))


def one_variable_of_the_caller() -> None:
    total = 0

    def add() -> None:
        nonlocal total
        total += 1

    thread = threading.Thread(target=add)
    thread.start()
    total += 1
    thread.join()


@pytest.mark.parametrize(
    "main",
    [
        one_counter,
        one_counter_that_c_code_calls,
        one_counter_that_c_code_calls_last,
        one_variable_of_the_caller,
    ],
)
def test_a_variable_that_two_threads_share_is_a_race(main: Callable[[], Any]) -> None:
    found = explored(main)
    assert found.verdict == "failed"
    assert isinstance(found.failure.exception, DataRaceError)
