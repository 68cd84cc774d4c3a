"""Closure variables of two calls of one function are two variables, and no pair is made of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import detrun
from detrun.explore.failures.operations import pairs


def parsed(text: str) -> str:
    ensure: Callable[[str], str] = str

    def made(part: str) -> str:
        return ensure(part)

    first = made(text)
    ensure = repr
    return first + made(text)


def two_parse_and_one_closes() -> None:
    class Pool:
        def __init__(self) -> None:
            self.queue: list[int] | None = [1]

    pool = Pool()

    def use() -> None:
        parsed("host")
        if pool.queue is not None:
            parsed("path")
            pool.queue.pop()

    def close() -> None:
        parsed("other")
        pool.queue = None

    together(use, close)


def together(*functions: Callable[[], None]) -> None:
    threads = [threading.Thread(target=one) for one in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def one_call_shared_by_two_threads() -> None:
    count = 0

    def add() -> None:
        nonlocal count
        count = count + 1

    together(add, add)
    assert count == 2


@pytest.mark.parametrize("preemption", ["line", "opcode"])
def test_the_cells_of_two_calls_are_no_pair(preemption: Any) -> None:
    found = detrun.explore(two_parse_and_one_closes, preemption=preemption, schedules=300, directory=None).failure
    assert found is not None
    assert found.explanation is not None
    assert found.explanation.resource == "Pool[0].queue"
    resources = {pair.resource for pair in pairs(found.explanation.failing, None)}
    assert "parsed's ensure" not in resources


def test_the_cell_of_one_call_is_a_pair_of_the_threads_that_share_it() -> None:
    found = detrun.explore(one_call_shared_by_two_threads, preemption="opcode", schedules=300, directory=None).failure
    assert found is not None
    assert found.explanation is not None
    assert found.explanation.verified
    assert found.explanation.resource == "one_call_shared_by_two_threads's count"
