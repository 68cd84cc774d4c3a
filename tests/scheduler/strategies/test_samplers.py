"""POS, URW, PCT and the portfolio: each finds what a random walk misses. Seeds are fixed; odds are stated."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from detrun import explore
from detrun_scheduler.strategies import make
from detrun_scheduler.strategies.campaigns import Learning, schedule_seed
from detrun_scheduler.strategies.pct import ProbabilisticConcurrencyTesting
from detrun_scheduler.strategies.portfolio import Portfolio
from tests.explore.racy_programs import correct, lost_update, polling, rare

checkpoint = trio.lowlevel.checkpoint
FOUND_OR_NOT: dict[str, Any] = {"directory": None, "shrink": False, "explain": False}  # of no matter here


def test_partial_order_sampling_finds_an_order_that_a_walk_misses() -> None:
    """``rare`` fails in about 1 of 2 ** 12 walks, so 300 of them find it with probability 0.07.

    Independent steps keep their priorities, so POS fails it when one of 13 priorities is the lowest: 300 schedules miss
    it with probability below 1e-9.
    """
    assert explore(rare, strategy="random", schedules=300, **FOUND_OR_NOT).failure is None
    assert explore(rare, strategy="pos", schedules=300, **FOUND_OR_NOT).failure is not None


def test_partial_order_sampling_learns_nothing_from_a_program_without_declared_state_but_runs_it() -> None:
    assert explore(polling, strategy="pos", schedules=50, max_steps=5_000, directory=None).verdict == "passed"


def orders_of(strategy: str, lengths: tuple[int, int], schedules: int) -> Counter[tuple[int, ...]]:
    found: Counter[tuple[int, ...]] = Counter()

    async def main() -> None:
        order: list[int] = []

        async def worker(task: int) -> None:
            for step in range(lengths[task]):
                if step:
                    await checkpoint()
                order.append(task)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker, 0)
            nursery.start_soon(worker, 1)
        found[tuple(order)] += 1

    explore(main, strategy=strategy, schedules=schedules, directory=None)
    return found


def chi_square(found: Counter[tuple[int, ...]], cells: int) -> float:
    expected = sum(found.values()) / cells
    return sum((count - expected) ** 2 / expected for count in found.values()) + expected * (cells - len(found))


def test_the_uniform_random_walk_is_uniform_where_a_plain_one_is_not() -> None:
    """One step against five: 6 interleavings. The 0.9999 quantile of chi square with 5 degrees is 25.7.

    The plain walk puts half of its weight on one of them; 48 of 1,500 schedules are spent before anything is learnt.
    """
    uniform = orders_of("urw", (1, 5), 1_500)
    assert len(uniform) == 6
    assert chi_square(uniform, 6) < 25.7
    assert chi_square(orders_of("random", (1, 5), 300), 6) > 200


def test_the_uniform_random_walk_counts_children_to_their_parent_until_they_run() -> None:
    """Without that the late children's parent would get a step in two, and orders in which it waits would be rare."""
    found: Counter[int] = Counter()

    async def main() -> None:
        order: list[str] = []

        async def child() -> None:
            for _ in range(4):
                await checkpoint()

        async def parent() -> None:
            order.append("parent")
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(child)

        async def other() -> None:
            for _ in range(4):
                await checkpoint()
            order.append("other")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(parent)
            nursery.start_soon(other)
        found[order[0] == "parent"] += 1

    explore(main, strategy="urw", schedules=500, directory=None)
    # The parent's subtree has three quarters of all steps: it almost never comes after all of the other's five.
    assert found[False] < 25


async def crowded(setters: int = 40) -> None:
    """Fails if the last task looks after one setter's first write and before any setter's second."""
    cell = [0, 0]

    async def write() -> None:
        cell[0] = 1
        await checkpoint()
        cell[1] = 1

    async def look() -> None:
        assert cell[0] == cell[1]

    async with trio.open_nursery() as nursery:
        for _ in range(setters):
            nursery.start_soon(write)
            await checkpoint()
        nursery.start_soon(look)


def test_a_walk_among_few_tasks_finds_what_a_crowd_hides_from_others() -> None:
    """Three of four pairs are a setter and the looker, and a turn of one step after one of the setter's two is likely.

    This has a chance of at least 1 in 24: 252 schedules after the first 48, in which little is known, miss it with
    probability below 3e-5. In a walk all of some 80 steps must fall right.
    """
    assert explore(crowded, strategy="subset", schedules=300, **FOUND_OR_NOT).failure is not None
    assert explore(crowded, strategy="random", schedules=150, **FOUND_OR_NOT).failure is None
    assert explore(crowded, strategy="pct", schedules=150, **FOUND_OR_NOT).failure is None


def test_few_tasks_keep_the_others_back_until_they_are_blocked() -> None:
    """Two of three tasks are active in at least half of the runs; then the third takes all its steps in the end.

    58 of 200 is six deviations below half. In a walk the third of them would be passed over a dozen times by chance.
    """

    def ending_alone(strategy: str) -> set[int]:
        orders: list[str] = []

        async def main() -> None:
            order: list[str] = []

            async def worker(name: str) -> None:
                for _ in range(6):
                    await checkpoint()
                    order.append(name)

            async with trio.open_nursery() as nursery:
                for name in "abc":
                    nursery.start_soon(worker, name)
            orders.append("".join(order))

        explore(main, strategy=strategy, schedules=300, directory=None)
        return {index for index, order in enumerate(orders[100:]) if len(set(order[12:])) == 1}

    assert len(ending_alone("subset")) > 58
    assert len(ending_alone("random")) < 20


def test_priority_changes_fall_where_there_is_something_to_decide_though_some_runs_poll_for_long() -> None:
    """The longest run is 100 times as long as the shortest; half of the horizons are below a tenth of the longest."""
    pct = ProbabilisticConcurrencyTesting(2)
    pct.tell((30, 3_000))
    points = []
    for seed in range(1_000):
        pct.new_run(SimpleNamespace(seed=seed))  # type: ignore[arg-type]
        points += pct.change_points
    # Under one horizon of 3,000 ten of a thousand fall below 30; the binomial's six deviations end at 29.
    assert sum(point < 30 for point in points) > 100
    assert any(point > 2_000 for point in points)
    assert pct.merged((30, 3_000), (10, 20)) == (10, 3_000)
    assert pct.merged(None, (10, 20)) == (10, 20)


@pytest.mark.parametrize("strategy", ["pct", "portfolio", "urw", "subset", "pos", "random"])
def test_a_loop_that_polls_ends(strategy: str) -> None:
    result = explore(polling, strategy=strategy, schedules=100, max_steps=5_000, directory=None)
    assert result.verdict == "passed", result.reason


@pytest.mark.parametrize("strategy", ["fifo", "random", "pct", "pos", "urw", "subset", "portfolio"])
def test_what_a_learning_strategy_does_follows_from_seed_index_and_knowledge(strategy: str) -> None:
    first = explore(correct, strategy=strategy, schedules=200, seed=3, directory=None)
    again = explore(correct, strategy=make(strategy), schedules=200, seed=3, directory=None)
    assert first.coverage == again.coverage
    assert isinstance(make(strategy), Learning)


def test_campaigns_with_different_seeds_share_no_run() -> None:
    seeds = [{schedule_seed(seed, index) for index in range(10_000)} for seed in range(-2, 3)]
    assert len(set[int]().union(*seeds)) == sum(map(len, seeds))


def test_the_portfolio_gives_more_to_the_arms_that_show_more_and_something_to_all() -> None:
    portfolio = Portfolio()
    with portfolio:
        portfolio.tell({"tries": [100] * 7, "news": [0, 0, 50, 0, 0, 0, 100]})
    shares = portfolio.shares()
    assert sum(shares) == pytest.approx(1)
    assert min(shares) >= 0.08
    assert shares[6] > shares[2] > shares[0] == shares[1]


def test_the_portfolio_finds_the_shallow_and_the_rare() -> None:
    """Arms of one seventh each: POS gets at least 8 % of 2,000 schedules, enough by the odds above."""
    assert explore(lost_update, **FOUND_OR_NOT).failure is not None
    assert explore(rare, schedules=2_000, **FOUND_OR_NOT).failure is not None


def test_the_varied_schedules_follow_what_showed_something_new() -> None:
    portfolio = Portfolio()
    result: Any = explore(correct, strategy=portfolio, schedules=200, directory=None)
    assert result.verdict == "passed"
    assert portfolio.knowledge.corpus
    assert portfolio.knowledge.tries[6] > 0
