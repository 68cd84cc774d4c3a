"""Weighted schedules and the probabilities of choices, against the enumeration of all schedules."""

from __future__ import annotations

import math
import threading
from collections import Counter
from typing import Any

import pytest
import trio

import detrun
from detrun.counterfactuals.choice_log import ChoiceLog, log_probability
from detrun_scheduler.strategies import make
from detrun_scheduler.strategies.bounded import PreemptionBounded
from detrun_scheduler.strategies.weighted import Weighted
from detrun_scheduler.task_weights import TaskWeights


async def race() -> str:
    """Two tasks with two steps each; the program weighs one of them, and once more in its midst."""
    order: list[str] = []

    async def slow() -> None:
        await trio.lowlevel.checkpoint()
        order.append("s")
        detrun.set_weight(0.5)
        await trio.lowlevel.checkpoint()
        order.append("s")

    async def quick() -> None:
        for _ in range(2):
            await trio.lowlevel.checkpoint()
            order.append("q")

    detrun.set_weight(3.0, "main/quick")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(slow)
        nursery.start_soon(quick)
    return "".join(order)


# A module of its own, so that nothing but these few instructions is interrupted.
OPCODES: dict[str, Any] = {"__name__": "instructions"}
exec(compile("last = 0\ndef put(number):\n    global last\n    last = number\n", "instructions.py", "exec"), OPCODES)


def thread_race() -> int:
    """Two threads write one number at opcodes; the first is preferred."""
    detrun.set_weight(2.5, "main/first")
    workers = [
        threading.Thread(target=OPCODES["put"], args=(one,), name=name) for one, name in ((1, "first"), (2, "second"))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    last: int = OPCODES["last"]
    return last


def law(main: Any, distribution: Any, **options: Any) -> dict[Any, float]:
    """The probability of each result: summed over every schedule that there is."""
    search = PreemptionBounded(None)
    found: dict[Any, float] = {}
    while search.advance():
        log = ChoiceLog(distribution(), search)
        result = detrun.record(main, strategy=log, **options).result
        found[result] = found.get(result, 0.0) + math.exp(log.log_probability)
    return found


@pytest.mark.parametrize("name", ["weighted", "random", "urw"])
def test_probabilities_of_all_schedules_of_tasks_add_up_to_one(name: str) -> None:
    found = law(race, lambda: make(name))
    assert math.isclose(sum(found.values()), 1.0, rel_tol=1e-12)
    assert set(found) == {"ssqq", "sqsq", "sqqs", "qssq", "qsqs", "qqss"}


def test_probabilities_of_all_schedules_of_threads_at_opcodes_add_up_to_one() -> None:
    found = law(thread_race, lambda: make("weighted"), preemption="opcode", include=["instructions.py"])
    assert math.isclose(sum(found.values()), 1.0, rel_tol=1e-12)
    assert set(found) == {1, 2}
    assert found[2] > 0.6  # the preferred one is done first
    wins = sum(
        detrun.record(
            thread_race, seed=seed, strategy="weighted", preemption="opcode", include=["instructions.py"]
        ).result
        == 2
        for seed in range(100)
    )
    deviations = (wins - 100 * found[2]) / math.sqrt(100 * found[2] * found[1])
    assert abs(deviations) < 4  # -0.5 with these seeds


@pytest.mark.parametrize("weights", [None, {"main/slow": 4.0, "main/q*": 9.0}])
def test_frequencies_of_the_weighted_walk_are_its_probabilities(weights: dict[str, float] | None) -> None:
    """Chi-square with 5 degrees over 150 fixed seeds; 51 is passed by chance once in 10^9 choices of seeds.

    These seeds give 5.0 without weights and 8.1 with them.
    """
    exact = law(race, lambda: Weighted(weights))
    counts = Counter(detrun.record(race, seed=seed, strategy=Weighted(weights)).result for seed in range(150))
    square = sum((counts[order] - 150 * one) ** 2 / (150 * one) for order, one in exact.items())
    assert square < 51


def test_without_weights_the_weighted_walk_keeps_unrelated_orders_by_itself() -> None:
    """The clocks belong to tasks, so two new runs of one seed need no recording to share them."""

    async def program(extra: int) -> str:
        order: list[str] = []

        async def flipping() -> None:
            for _ in range(extra):
                await trio.lowlevel.checkpoint()

        async def worker(name: str) -> None:
            for _ in range(3):
                await trio.lowlevel.checkpoint()
                order.append(name)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flipping)
            for name in "abcd":
                nursery.start_soon(worker, name)
        return "".join(order)

    weighted, walk = [], []
    for seed in range(15):
        for kept, strategy in ((weighted, "weighted"), (walk, "random")):
            kept.append(len({detrun.record(program, extra, seed=seed, strategy=strategy).result for extra in (0, 4)}))
    assert set(weighted) == {1}
    assert sum(walk) > 20


def test_the_probability_of_a_recorded_schedule_is_found_by_a_replay() -> None:
    exact = law(race, lambda: make("weighted"))
    plain = law(race, lambda: make("random"))
    seen: dict[str, float] = {}
    for seed in range(12):
        run = detrun.record(race, seed=seed, strategy="weighted")
        own = log_probability(race, recording=run.recording)
        log = ChoiceLog("weighted")
        again = detrun.record(race, seed=seed, strategy=log)
        assert again.digest == run.digest
        assert own == log.log_probability
        under_random = log_probability(race, recording=run.recording, strategy="random")
        weight = math.exp(under_random - own)
        seen[run.result] = weight
    # More than one schedule leads to a result; the weights of a result's schedules lie around the ratio.
    assert set(seen) <= set(exact)
    assert all(one > 0.0 for one in seen.values())
    assert math.isclose(sum(plain.values()), 1.0)


def test_importance_weights_turn_one_walk_into_another() -> None:
    """E of P under q times the weight p / q is E of P under p, summed exactly over all schedules."""
    search, total, mean = PreemptionBounded(None), 0.0, 0.0
    target = law(race, lambda: make("random"))
    while search.advance():
        log = ChoiceLog("weighted", search)
        run = detrun.record(race, strategy=log)
        weight = math.exp(log_probability(race, recording=run.recording, strategy="random") - log.log_probability)
        total += math.exp(log.log_probability) * weight
        mean += math.exp(log.log_probability) * weight * (run.result == "qqss")
    assert math.isclose(total, 1.0, rel_tol=1e-12)
    assert math.isclose(mean, target["qqss"], rel_tol=1e-12)


def test_strategies_that_say_no_probabilities_are_refused_by_name() -> None:
    run = detrun.record(race, seed=1, strategy="pct")
    with pytest.raises(detrun.UsageError, match="strategy pct does not say how likely its choices are; use one of"):
        log_probability(race, recording=run.recording)
    assert log_probability(race, recording=run.recording, strategy="random") < 0.0
    given = detrun.record(race, seed=1, strategy=Weighted({"main/slow": 100.0}))
    # The recording knows the strategy's class and not its table, but what it would have chosen.
    assert log_probability(race, recording=given.recording, strategy=Weighted({"main/slow": 100.0})) < 0.0


def test_weights_go_to_paths_and_patterns_and_the_last_one_counts() -> None:
    weights = TaskWeights({"main/*": 2.0, "main/a": 3.0})
    assert [weights.of(path) for path in ("main/a", "main/a[1]", "main/b/c", "main")] == [3.0, 2.0, 2.0, None]
    weights.set("main/*", 5.0)
    assert weights.of("main/a") == 5.0
    weights.set("main/a[1]", 7.0)
    assert weights.of("main/a[1]") == 7.0
    weights.set("main/x*y", 1.5, is_path=True)
    assert weights.of("main/xzy") == 5.0
    for wrong in (0.0, -1.0, math.inf, math.nan, "3", True):
        with pytest.raises(detrun.UsageError, match="is not a finite number above 0"):
            weights.set("main", wrong)
    with pytest.raises(detrun.UsageError, match="by their paths"):
        weights.set(3, 1.0)  # type: ignore[arg-type]
    with pytest.raises(detrun.UsageError, match=r"detrun\.set_weight"):
        detrun.set_weight(1.0)


def test_a_weighted_run_replays_and_is_followed_by_what_if() -> None:
    run = detrun.record(race, seed=3, strategy="weighted")
    assert detrun.replay(race, recording=run.recording).digest == run.digest
    same = detrun.replay(race, recording=run.recording, mode="what-if")
    assert same.what_if is not None
    assert same.what_if.first_difference is None
