"""The threads that wait for one lock: which of them a release wakes, and how often each is drawn."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from detrun_scheduler.run import WOKEN_MAX
from detrun_scheduler.threads import waiting_threads
from detrun_scheduler.threads.waiting_threads import WaitingThreads

COUNT = WOKEN_MAX + 5


class Sleeper:
    """What `waiting_threads` needs of a thread."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.woken = 0
        self.told: list[int] = []  # where each writes its number that is woken

    def wake(self) -> None:
        self.woken += 1
        self.told.append(self.number)


def waiting_in_some_order(numbers: list[int]) -> tuple[WaitingThreads, list[Sleeper]]:
    waiting: WaitingThreads = []
    sleepers = [Sleeper(number) for number in numbers]
    for one in sleepers:
        waiting_threads.add(waiting, one.number, one)  # type: ignore[arg-type]
    return waiting, sleepers


def run_that_draws(bits: int) -> Any:
    def draw(key: tuple[str, str]) -> int:
        assert key == ("waiters", "lock 3")
        return bits

    return SimpleNamespace(woken_max=WOKEN_MAX, draw=draw)


@pytest.mark.parametrize("count", [0, 1, WOKEN_MAX])
def test_few_are_all_woken_without_a_draw(count: int) -> None:
    waiting, sleepers = waiting_in_some_order(list(range(count)))
    waiting_threads.wake(waiting, SimpleNamespace(woken_max=WOKEN_MAX), "lock 3")  # type: ignore[arg-type]
    assert [one.woken for one in sleepers] == [1] * count
    assert waiting == []


@pytest.mark.parametrize("bits", [0, 2**32, 2**63, 2**64 - 1])
def test_of_many_some_are_woken_once_and_the_others_still_wait(bits: int) -> None:
    waiting, sleepers = waiting_in_some_order(list(range(COUNT)))
    waiting_threads.wake(waiting, run_that_draws(bits), "lock 3")
    assert sorted(one.woken for one in sleepers) == [0] * (COUNT - WOKEN_MAX) + [1] * WOKEN_MAX
    assert [one for _, one in waiting] == [one for one in sleepers if not one.woken]


@pytest.mark.parametrize(("bits", "order"), [(0, [0, 1, 2, 7, 5, 6]), (2**63, [5, 6, 7, 0, 10, 9])])
def test_the_draws_are_those_of_the_generator_that_is_named(bits: int, order: list[int]) -> None:
    """Recordings hold the bits alone: another generator would wake others when they are replayed."""
    waiting, sleepers = waiting_in_some_order(list(range(COUNT)))
    told: list[int] = []
    for one in sleepers:
        one.told = told
    waiting_threads.wake(waiting, run_that_draws(bits), "lock 3")
    left, drawn = list(range(COUNT)), []
    for _ in range(WOKEN_MAX):
        drawn.append(left.pop((bits >> 32) * len(left) // 2**32))
        bits = (bits * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
    assert told == drawn == order


def test_each_is_as_likely_as_any_other_and_so_is_each_pair_of_neighbours() -> None:
    """Draws are spread evenly, so what is counted is a function of the generator and no matter of chance."""
    runs = 2_000
    woken: Counter[int] = Counter()
    neighbours: Counter[int] = Counter()
    for index in range(runs):
        waiting, sleepers = waiting_in_some_order(list(range(COUNT)))
        bits = index * 0x9E37_79B9_7F4A_7C15 % 2**64
        waiting_threads.wake(waiting, run_that_draws(bits), "lock 3")
        for one in sleepers:
            woken[one.number] += one.woken
        for one, other in pairwise(sleepers):
            neighbours[one.number] += one.woken and other.woken
    for number in range(COUNT):
        assert abs(woken[number] / runs - WOKEN_MAX / COUNT) < 0.05
    both = WOKEN_MAX * (WOKEN_MAX - 1) / (COUNT * (COUNT - 1))
    for number in range(COUNT - 1):
        assert abs(neighbours[number] / runs - both) < 0.05


def test_the_order_of_coming_leaves_no_trace() -> None:
    waiting, _ = waiting_in_some_order([4, 1, 3, 0, 2])
    assert [number for number, _ in waiting] == [0, 1, 2, 3, 4]


def test_one_that_gives_up_is_taken_out_once_and_no_other_is() -> None:
    waiting, _ = waiting_in_some_order([1, 3, 5])
    assert waiting_threads.remove(waiting, 3) is True
    for absent in (0, 2, 3, 4, 6):
        assert waiting_threads.remove(waiting, absent) is False
    assert [number for number, _ in waiting] == [1, 5]


def test_two_that_came_under_one_number_are_told_apart_by_themselves() -> None:
    waiting, sleepers = waiting_in_some_order([1, 2, 2])
    waiting_threads.remove_thread(waiting, sleepers[1])  # type: ignore[arg-type]
    assert [one for _, one in waiting] == [sleepers[0], sleepers[2]]
