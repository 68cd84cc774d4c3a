"""Promises of the strategies: random reaches everything, fifo is fair, pct hits shallow bugs as often as proved.

The oracle for reachability is brute force: a depth-first walk over all answers to all choices. Seeds are fixed, so no
test can fail by chance; where a number is statistical, the comment says how often other seeds would fail it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from detrun_scheduler.choices import KeyedDraws, RunView
from detrun_scheduler.errors import UsageError
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.strategies import make, name_of
from detrun_scheduler.strategies.fifo import Fifo
from detrun_scheduler.strategies.pct import ProbabilisticConcurrencyTesting
from detrun_scheduler.strategies.random_walk import RandomWalk
from detrun_scheduler.strategies.subset import SubsetWalk

Program = Callable[[], Awaitable[Any]]


def run(program: Program, oracle: Any, seed: int = 0) -> Any:
    return RunLoop(oracle, seed=seed).run(program).unwrap()


class Following(KeyedDraws):
    """Answers from a list, then always 0; notes how many answers each choice had."""

    def __init__(self, answers: Sequence[int]) -> None:
        self.answers = answers
        self.widths: list[int] = []

    def new_run(self, run: RunView) -> None: ...

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        assert list(runnable) == sorted(set(runnable))
        self.widths.append(len(runnable))
        index = len(self.widths) - 1
        return self.answers[index] if index < len(self.answers) else 0


def all_results(program: Program) -> tuple[set[Any], int]:
    """The results of a program over every interleaving, and how many interleavings there are."""
    results, count, answers = set(), 0, [0][:0]
    while True:
        oracle = Following(answers)
        results.add(run(program, oracle))
        count += 1
        answers = [*answers, *([0] * (len(oracle.widths) - len(answers)))]
        while answers and answers[-1] == oracle.widths[len(answers) - 1] - 1:
            answers.pop()
        if not answers:
            return results, count
        answers[-1] += 1


async def two_by_three() -> tuple[str, ...]:
    order: list[str] = []

    async def task(name: str) -> None:
        for part in range(3):
            order.append(f"{name}{part}")
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(task, "a")
        nursery.start_soon(task, "b")
    return tuple(order)


async def three_tasks() -> tuple[int, ...]:
    order: list[int] = []

    async def task(index: int) -> None:
        await trio.lowlevel.checkpoint()
        order.append(index)

    async with trio.open_nursery() as nursery:
        for index in range(3):
            nursery.start_soon(task, index)
    return tuple(order)


async def lost_updates() -> int:
    value = 0

    async def add() -> None:
        nonlocal value
        read = value
        await trio.lowlevel.checkpoint()
        value = read + 1

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(add)
    return value


async def messages() -> tuple[Any, ...]:
    got: list[Any] = []
    send, receive = trio.open_memory_channel[int](1)

    async def sender(value: int) -> None:
        await send.send(value)

    async def receiver(name: str) -> None:
        got.append((name, await receive.receive()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender, 1)
        nursery.start_soon(sender, 2)
        nursery.start_soon(receiver, "x")
        nursery.start_soon(receiver, "y")
    return tuple(got)


async def a_race_to_cancel() -> tuple[Any, ...]:
    log: list[Any] = []
    lock = trio.Lock()

    async def worker(name: str, scope: trio.CancelScope) -> None:
        try:
            async with lock:
                log.append(name)
                await trio.lowlevel.checkpoint()
                scope.cancel()
        except trio.Cancelled:
            log.append(f"{name} cancelled")
            raise

    async with trio.open_nursery() as nursery:
        for name in ("p", "q"):
            nursery.start_soon(worker, name, nursery.cancel_scope)
    return tuple(log)


@pytest.mark.parametrize(
    ("program", "orders", "runs"),
    # Runs so many that a result as rare as the rarest is missed by one choice of seeds in a thousand or fewer.
    [
        (two_by_three, 20, 400),
        (three_tasks, 6, 200),
        (lost_updates, 3, 200),
        pytest.param(messages, None, 200, marks=pytest.mark.slow),  # thousands of interleavings
        (a_race_to_cancel, None, 200),
    ],
)
def test_random_reaches_every_result_that_brute_force_finds(program: Program, orders: int | None, runs: int) -> None:
    expected, interleavings = all_results(program)
    assert interleavings >= len(expected) > 1
    if orders is not None:
        assert len(expected) == orders  # counted by hand: 6 choose 3, 3 factorial, 1 to 3 updates kept
    reached = {run(program, RandomWalk(), seed) for seed in range(runs)}
    assert reached == expected


def test_fifo_reaches_one_result_only_whatever_the_seed() -> None:
    """Negative twin: the comparison above does tell strategies apart."""
    assert len({run(two_by_three, Fifo(), seed) for seed in range(50)}) == 1


def test_a_random_choice_is_uniform() -> None:
    """Chi-squared over 6 answers, 6,000 draws: other seeds would fail once in 10,000 (quantile 25.7 at 5 degrees)."""
    strategy = RandomWalk()
    strategy.new_run(RunLoop(strategy, seed=1))
    counts = [0] * 6
    for _ in range(6000):
        counts[strategy.next_task(range(6), -1)] += 1
    assert sum((count - 1000) ** 2 / 1000 for count in counts) < 25.7


def test_fifo_steps_every_task_once_before_any_twice() -> None:
    async def program() -> list[int]:
        order: list[int] = []

        async def task(index: int) -> None:
            for _ in range(4):
                order.append(index)
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for index in range(7):
                nursery.start_soon(task, index)
        return order

    assert run(program, Fifo()) == list(range(7)) * 4


@given(st.lists(st.sets(st.integers(0, 5), min_size=2), min_size=1, max_size=40))
def test_under_fifo_no_task_waits_while_the_others_go_round_twice(sets: list[set[int]]) -> None:
    """Against any sequence of runnable sets, a task that stays runnable is stepped within one round of the others."""
    strategy = Fifo()
    strategy.new_run(RunLoop(strategy))
    waiting: dict[int, int] = {}
    current = -1
    for runnable in map(sorted, sets):
        current = runnable[strategy.next_task(runnable, current)]
        waiting = {task: waiting.get(task, 0) + 1 for task in runnable if task != current}
        assert all(choices <= 6 for choices in waiting.values())


def atomicity_violation(before: int, window: int, after: int) -> Program:
    """A bug of depth 2: another task's ``window`` steps must all fall between two given steps of the first.

    The shape of figure 1b of the PCT paper: one task tests and then uses, the other invalidates in between.
    """

    async def program() -> bool:
        progress, invalidated_at = [0], [-1]

        async def tests_and_uses() -> None:
            for step in range(before + after):
                progress[0] = step
                await trio.lowlevel.checkpoint()

        async def invalidates() -> None:
            started = progress[0]
            for _ in range(window):
                await trio.lowlevel.checkpoint()
            if started == progress[0]:
                invalidated_at[0] = started

        async with trio.open_nursery() as nursery:
            nursery.start_soon(tests_and_uses)
            nursery.start_soon(invalidates)
        return invalidated_at[0] == before

    return program


@pytest.mark.one_python
def test_pct_hits_a_bug_of_depth_two_as_often_as_proved() -> None:
    """n = 2 tasks and k choices with both runnable: at least 1 / (n k) per run.

    1,800 runs; the threshold is four standard deviations below the bound: fewer than one choice of seeds in 10,000
    would fail at the bound itself. The program is small, so that the bound is high and takes few runs to be missed.
    """
    program = atomicity_violation(before=5, window=6, after=5)
    oracle = ProbabilisticConcurrencyTesting(depth=2)
    runs = 1800
    hits = sum(run(program, oracle, seed) for seed in range(runs))
    shortest, longest = oracle.horizons
    bound = 1 / (2 * longest)
    assert 5 <= shortest <= longest <= 25
    assert hits >= runs * bound - 4 * math.sqrt(runs * bound * (1 - bound))
    assert not run(program, Fifo())


@pytest.mark.one_python
def test_a_random_walk_misses_a_bug_of_depth_two() -> None:
    """It has to win 10 + 8 coin tosses: 500 runs hit with probability 0.2 %, and PCT misses in 500 with 0.02 %."""
    program = atomicity_violation(before=10, window=8, after=10)
    oracle = ProbabilisticConcurrencyTesting(depth=2)
    assert not any(run(program, RandomWalk(), seed) for seed in range(500))
    assert any(run(program, oracle, seed) for seed in range(500))


def test_pct_of_depth_one_cannot_hit_a_bug_of_depth_two() -> None:
    """Negative twin: without a change point a task runs to its end before the other begins."""
    oracle = ProbabilisticConcurrencyTesting(depth=1)
    program = atomicity_violation(before=10, window=8, after=10)
    assert not any(run(program, oracle, seed) for seed in range(300))


def test_pct_gives_distinct_priorities_and_always_steps_the_highest() -> None:
    oracle = ProbabilisticConcurrencyTesting(depth=4)
    for seed in range(20):
        oracle.new_run(RunLoop(oracle, seed=seed))
        for step in range(200):
            runnable = [task for task in range(6) if (step * 7 + task * 5) % 3] or [0, 1]
            chosen = runnable[oracle.next_task(runnable, -1)]
            assert oracle.priorities[chosen] == max(oracle.priorities[task] for task in runnable)
        assert len(set(oracle.priorities.values())) == len(oracle.priorities)
        assert oracle.demotions <= 3


def test_pct_learns_the_horizon_from_earlier_runs_and_keeps_change_points_inside() -> None:
    oracle = ProbabilisticConcurrencyTesting(depth=3)
    oracle.new_run(RunLoop(oracle, seed=0))
    assert oracle.horizons == (0, 0)
    for _ in range(50):
        oracle.next_task([1, 2], -1)
    for seed in range(100):
        oracle.new_run(RunLoop(oracle, seed=seed))
        assert oracle.horizons == (50, 50)
        assert all(0 <= point < 50 for point in oracle.change_points)
    for _ in range(800):
        oracle.next_task([1, 2], -1)
    latest = []
    for seed in range(400):
        oracle.new_run(RunLoop(oracle, seed=seed))
        assert oracle.horizons == (50, 800)
        latest.append(max(oracle.change_points))
    # Horizons are log-uniform from 50 to 800: half of them are below 200, and all changes of those runs, too.
    assert sum(point < 200 for point in latest) > 200
    assert max(latest) > 400


@pytest.mark.parametrize("strategy", ["fifo", "random", "pct"])
def test_a_strategy_is_found_by_its_name(strategy: str) -> None:
    assert name_of(strategy) == strategy
    assert run(two_by_three, make(strategy)) in all_results(two_by_three)[0]


def test_an_oracle_passes_through_and_an_unknown_name_is_refused_with_the_choices() -> None:
    oracle = Following([])
    assert make(oracle) is oracle
    assert name_of(oracle) == "Following"
    with pytest.raises(UsageError, match=r"unknown strategy 'fifi'; choose one of bounded, dfs, dpor, fifo, pct"):
        make("fifi")


def test_the_name_that_old_recordings_carry_makes_the_strategy_of_the_new_name() -> None:
    assert type(make("few")) is type(make("subset")) is SubsetWalk
    assert name_of("few") == "few"  # and what is recorded under it is found under it
    with pytest.raises(UsageError, match="of all strategies only"):
        make("few:3")
