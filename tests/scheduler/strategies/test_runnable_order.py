"""Strategies that keep an order of the runnable tasks choose as those that look at all of them, and look at few."""

from __future__ import annotations

import threading
from bisect import insort
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun_scheduler import journal, loop
from detrun_scheduler.strategies import make
from detrun_scheduler.strategies.runnable_order import MANY, Arrivals, HighestPriority, Shares, place_in
from detrun_scheduler.trio_host import queues
from detrun_scheduler.trio_host.queues import RunQueue

STRATEGIES = ["fifo", "pct", "pct:5", "pos", "urw", "subset", "portfolio"]


async def crowd() -> None:
    """Many tasks that wait, wake, spawn and end."""
    random = Random(3)
    lock, start = trio.Lock(), trio.Event()

    async def work(index: int, depth: int) -> None:
        for turn in range(1 + random.randrange(3)):
            kind = (index * 7 + turn * 3 + depth) % 4
            if kind == 0:
                async with lock:
                    await trio.lowlevel.checkpoint()
            elif kind == 1:
                await trio.sleep(0.1 * (index % 3))
            else:
                await trio.lowlevel.checkpoint()
        if depth and index % 3 == 0:
            async with trio.open_nursery() as nursery:
                for child in range(3):
                    nursery.start_soon(work, child, depth - 1)
        if index % 4 == 1:
            await start.wait()

    async with trio.open_nursery() as nursery:
        for index in range(2 * MANY):
            nursery.start_soon(work, index, 1)
        await trio.lowlevel.checkpoint()
        start.set()


def threads() -> None:
    lock = threading.Lock()

    def work() -> None:
        for _ in range(2):
            with lock:
                pass

    crew = [threading.Thread(target=work) for _ in range(2 * MANY)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()


async def standing() -> None:
    """The event loop stands while threads run, so that others are stepped than are chosen."""

    async def step() -> None:
        for _ in range(3):
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for _ in range(MANY):
            nursery.start_soon(step)
        await trio.lowlevel.checkpoint()
        threads()


class Untold:
    """A strategy that is not told of arrivals, and so looks at all runnable tasks."""

    def __init__(self, strategy: str) -> None:
        oracle: Any = make(strategy)
        self.new_run, self.next_task, self.draw = oracle.new_run, oracle.next_task, oracle.draw


@pytest.mark.parametrize("program", [crowd, threads, standing])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_told_and_untold_they_choose_the_same(program: Any, strategy: str) -> None:
    told, untold = make(strategy), Untold(strategy)
    for seed in (3, 4):  # the second run knows what the first has shown
        digests = {detrun.record(program, seed=seed, strategy=one).digest for one in (told, untold)}
        assert len(digests) == 1


@pytest.mark.parametrize("program", [crowd, threads, standing])
@pytest.mark.parametrize("strategy", ["random", *STRATEGIES])
def test_very_many_runnable_tasks_are_kept_in_another_way_and_chosen_as_ever(
    program: Any, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHUNK_STEPS", 8)  # the queue is looked at where a chunk begins
    monkeypatch.setattr(journal, "CHUNK_STEPS", 8)
    kept: set[bool] = set()
    fit = RunQueue.fit

    def noted(queue: RunQueue) -> bool:
        kept.add(isinstance(queue.numbers, list))
        return fit(queue)

    monkeypatch.setattr(RunQueue, "fit", noted)
    digests = set()
    for size in (queues.CROWD, MANY // 4):
        monkeypatch.setattr(queues, "CROWD", size)
        digests.add(detrun.record(program, seed=3, strategy=strategy, preemption="line").digest)
    assert kept == {True, False}
    assert len(digests) == 1


def test_a_crowd_of_a_run_that_failed_is_unwound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHUNK_STEPS", 8)
    monkeypatch.setattr(journal, "CHUNK_STEPS", 8)
    monkeypatch.setattr(queues, "CROWD", 8)
    ended = []

    async def polls(index: int) -> None:
        try:
            while True:
                await trio.lowlevel.checkpoint()
        finally:
            ended.append(index)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for index in range(MANY):
                nursery.start_soon(polls, index)

    with pytest.raises(detrun.StepLimitError):
        detrun.record(main, max_steps=200)
    assert sorted(ended) == list(range(MANY))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10**6)), max_size=80))
def test_a_crowd_holds_what_a_list_holds(changes: list[tuple[bool, int]]) -> None:
    queue, plain = RunQueue(lambda *_: None, ()), list[int]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queues, "CROWD", 8)
        for comes, number in changes:
            if comes and number not in plain:
                queue.put(queue.numbers, number)
                insort(plain, number)
            elif plain:
                index = number % len(plain)
                assert queue.numbers.pop(index) == plain.pop(index)
            queue.fit()
            queue._check()
            assert [place_in(queue.numbers, one) for one in (number, *plain)] == [
                place_in(plain, one) for one in (number, *plain)
            ]


class Watched(list[int]):
    """Runnable tasks that count how many of them are looked at."""

    looks = 0

    def __getitem__(self, place: Any) -> Any:
        Watched.looks += 1
        return super().__getitem__(place)

    def __iter__(self) -> Iterator[int]:
        Watched.looks += len(self)
        return super().__iter__()


class View:
    seed, step_index, current = 5, 0, -1

    def path_of(self, task: int) -> str:
        return f"main/worker[{task}]"

    def pending_of(self, task: int) -> str:
        return "checkpoint"


@pytest.mark.parametrize("strategy", ["fifo", "random", "pct", "urw", "subset"])
def test_a_choice_among_thousands_looks_at_few(strategy: str) -> None:
    oracle: Any = make(strategy)
    for _ in range(2):
        oracle.new_run(View())
        arrived: list[int] = oracle.arrivals() if hasattr(oracle, "arrivals") else []
        runnable, current, spawned = Watched(range(4_000)), -1, 4_000
        arrived += runnable
        runnable.remove(current := list.__getitem__(runnable, oracle.next_task(runnable, current)))
        Watched.looks = 0
        for step in range(300):
            if step % 3:
                runnable.append(current)
                runnable.sort()  # it stays
            else:
                runnable.append(spawned)  # it blocks or ends, and another one is new
                arrived.append(spawned)
                spawned += 1
            current = list.pop(runnable, oracle.next_task(runnable, current))
        assert Watched.looks < 300 * 120  # a bisection looks at 12; a scan at 4,000


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5)), min_size=1, max_size=60),
    st.floats(0, 1, exclude_max=True),
)
@settings(deadline=None)
def test_shares_find_the_task_at_a_point(changes: list[tuple[int, int]], unit: float) -> None:
    shares, plain = Shares(), {changes[0][0]: changes[0][1]}
    shares.make(dict(plain))
    for task, share in changes:
        shares.set(task, share)
        plain[task] = share
        assert shares.total == sum(plain.values())
        assert len(shares) == len(plain)
        if shares.total:
            point = rest = unit * shares.total
            for wanted in sorted(plain):
                rest -= plain[wanted]
                if rest < 0:
                    break
            assert shares.at(point) == wanted
    task = changes[-1][0]
    shares.drop(task)
    assert task not in shares
    assert shares.total == sum(plain.values()) - plain[task]


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans(), st.floats(0, 1)), min_size=1, max_size=60))
@settings(deadline=None)
def test_the_highest_priority_is_that_of_a_scan(changes: list[tuple[int, bool, float]]) -> None:
    priorities: dict[int, float] = {}
    order, runnable = HighestPriority(priorities), [99]
    priorities[99] = -1.0
    order.make(runnable)
    for task, goes, priority in changes:
        if goes and task in runnable:
            runnable.remove(task)
        elif task not in runnable and priority not in priorities.values():
            priorities[task] = priority
            runnable = sorted([*runnable, task])
            order.push(task)
        assert order.top(runnable) == max(runnable, key=priorities.__getitem__)


def test_an_order_is_made_anew_after_few_tasks() -> None:
    told = Arrivals()
    told.new_run()
    arrived = told.arrivals()
    many = list(range(MANY))
    assert not told.are_few(many)
    assert told.since_last(many) is None
    arrived += [MANY, 1000]
    assert not told.are_few([*many, MANY])
    assert told.since_last([*many, MANY]) == [MANY]
    assert told.are_few(many[1:])
    assert not told.are_few(many)
    assert told.since_last(many) is None
    assert place_in(many, 3) == 3
    assert place_in(many, 1000) == -1
