"""What decisions answer for, by enumeration: every outcome of every draw under every schedule, with its probability."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import detrun
from detrun.ad.value import Value
from detrun.counterfactuals.choice_log import Choice, ChoiceLog
from detrun.execution.options import Options
from detrun.gradients.policy.returns_to_go import scored
from detrun.gradients.policy.scored_run import ScoredRun
from detrun.gradients.policy.scores import ScoredChoices, Scores
from detrun.gradients.sampling.program import SampledProgram
from detrun_scheduler.strategies import make
from detrun_scheduler.strategies.bounded import PreemptionBounded

OPCODES: dict[str, Any] = {"__name__": "instructions"}
exec(compile("last = 0\ndef put(number):\n    global last\n    last = number\n", "instructions.py", "exec"), OPCODES)

Run = tuple[float, float, ScoredRun]  # its probability, its loss, and its scores


class Searched(ScoredChoices):
    """A search whose choices have the probabilities of the weighted walk."""

    def __init__(self, search: PreemptionBounded, scores: Scores) -> None:
        ChoiceLog.__init__(self, make("weighted"), search)
        self.scores = scores
        self.log_plain = 0.0  # of choices that no parameter moves

    def noted(self, choice: Choice) -> None:
        if not any(isinstance(weight, Value) for weight in choice.weights):
            self.log_plain += math.log(choice.probability)
        super().noted(choice)


def enumerated(
    main: Any, params: dict[str, float], addresses: Sequence[tuple[str, int]], options: Options | None = None
) -> Iterator[Run]:
    """Every run. A coin that a run does not toss halves the weight of both of its copies."""
    for outcomes in product([False, True], repeat=len(addresses)):
        search = PreemptionBounded(None)
        while search.advance():
            scores = Scores(keeps_outcomes=True)
            force = dict(zip(addresses, outcomes, strict=True))
            scope = ScoredRun(params, scores, True, force, tells_apart=True, watches=True)
            oracle = Searched(search, scores)
            run = SampledProgram(main, params, options or Options(), oracle).run(params, 0, scope)
            unmet = len(addresses) - len(scores.outcomes)
            yield math.exp(scores.log_probability + oracle.log_plain) / 2**unmet, run.value, scope


def sums(runs: Iterator[Run], name: str) -> dict[str, float]:
    """The whole probability, the derivative by the whole loss and by returns to go, and the mean of baselines."""
    found = dict.fromkeys(("one", "by_loss", "to_go", "baselines"), 0.0)
    for weight, loss, scope in runs:
        assert scope.apart is not None
        found["one"] += weight
        found["by_loss"] += weight * (scope.along_path[name] + loss * scope.score[name])
        found["to_go"] += weight * (scope.along_path[name] + scored(scope.apart, name))
        # Any function of what was known before will do for a baseline.
        for label, stream in scope.apart.items():
            for place, score in enumerate(stream.scores[name]):
                known = sum(one[place] * (1 + len(feature)) for feature, one in stream.features.items())
                found["baselines"] += weight * score * (known**2 + len(label) * (1 + stream.indices[place]))
    return found


# What a task of a random program does; cells are numbered, tasks with the same group have them in common.
ACTIONS = st.sampled_from(["toss", "cost", "add", "read", "yield", "write", "look", "weigh"])
TASKS = st.lists(st.lists(ACTIONS, min_size=1, max_size=4), min_size=2, max_size=2).filter(
    lambda tasks: sum(actions.count("toss") for actions in tasks) <= 3
)


def program(tasks: Sequence[Sequence[str]], together: bool, depends_on: bool, weighted: bool) -> Any:
    """Tasks that toss coins, share cells and pay what they know; alone or together, as the flags say."""

    async def main(params: dict[str, Any]) -> Any:
        counts = [detrun.Atomic(0.0) for _ in tasks]
        cells = [detrun.Shared(0.0) for _ in tasks]
        if weighted:
            detrun.set_weight(1.0 + params["p"], "main/task")

        async def task(number: int) -> None:
            known = 1.0
            place = 0 if together else number
            mine = "main/task*" if together else f"main/task[{number}]" if number else "main/task"
            for action in tasks[number]:
                if action == "toss":
                    known = 2.0 * known + detrun.bernoulli(params["p"] / (1.0 + number))
                elif action == "cost":
                    detrun.cost(params["p"] * known, depends_on=mine if depends_on else None)
                elif action == "add":
                    counts[place].fetch_add(known)
                elif action == "read":
                    known += counts[place].load()
                elif action == "write":
                    cells[place].value = known
                elif action == "look":
                    known += cells[place].value
                elif action == "weigh":
                    detrun.set_weight(1.0 + known)
                else:
                    await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for number in range(len(tasks)):
                nursery.start_soon(task, number)
        return counts[0].load() * params["p"]

    return main


@settings(max_examples=20, deadline=None, derandomize=True)
@given(tasks=TASKS, together=st.booleans(), depends_on=st.booleans(), weighted=st.booleans())
def test_returns_to_go_have_the_mean_of_the_whole_loss_in_random_programs(
    tasks: list[list[str]], together: bool, depends_on: bool, weighted: bool
) -> None:
    """And any baseline that knows the past has a mean of zero."""
    tosses = [
        ("main/task[1]" if number else "main/task", place)
        for number, actions in enumerate(tasks)
        for place in range(actions.count("toss"))
    ]
    found = sums(enumerated(program(tasks, together, depends_on, weighted), {"p": 0.3}, tosses), "p")
    assert found["one"] == pytest.approx(1.0, abs=1e-9)
    assert found["to_go"] == pytest.approx(found["by_loss"], abs=1e-9 * (1 + abs(found["by_loss"])))
    assert found["baselines"] == pytest.approx(0.0, abs=1e-6)


async def spawning(params: dict[str, Any]) -> None:
    """A task tosses and starts another, whose cost names only itself: what it was started after counts all the same."""

    async def child(known: float) -> None:
        await trio.lowlevel.checkpoint()
        detrun.cost(known + 2.0 * detrun.bernoulli(params["p"]), depends_on="main/child")

    async def apart() -> None:
        detrun.cost(7.0 * detrun.bernoulli(params["p"]), depends_on="main/apart")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(apart)
        nursery.start_soon(child, 1.0 + detrun.bernoulli(params["p"]))


async def weighing(params: dict[str, Any]) -> None:
    """A coin says how fast a task is, and so who of two others comes first: that no message tells them."""
    order: list[int] = []

    async def fast() -> None:
        detrun.set_weight(9.0 if detrun.bernoulli(params["p"]) else 0.5, "main/first")
        await trio.lowlevel.checkpoint()

    async def first() -> None:
        await trio.lowlevel.checkpoint()
        order.append(1)

    async def second() -> None:
        await trio.lowlevel.checkpoint()
        detrun.cost(float(len(order)), depends_on=["main/first", "main/second"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fast)
        nursery.start_soon(first)
        nursery.start_soon(second)


async def silent(params: dict[str, Any]) -> None:
    """A coin decides whether an event is set; who waits for it in vain pays."""
    told = trio.Event()

    async def waiting() -> None:
        with trio.move_on_after(1.0):
            await told.wait()
            return
        detrun.cost(1.0, depends_on=params["depends_on"])

    async def tossing() -> None:
        if detrun.bernoulli(params["p"]):
            told.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting)
        nursery.start_soon(tossing)


@pytest.mark.parametrize(
    ("main", "tosses"),
    [
        (spawning, [("main", 0), ("main/child", 0), ("main/apart", 0)]),
        (weighing, [("main/fast", 0)]),
    ],
)
def test_what_a_task_was_started_after_and_weights_of_the_scheduler_reach_costs(
    main: Any, tosses: list[tuple[str, int]]
) -> None:
    found = sums(enumerated(main, {"p": 0.3}, tosses), "p")
    assert found["one"] == pytest.approx(1.0)
    assert abs(found["by_loss"]) > 0.1
    assert found["to_go"] == pytest.approx(found["by_loss"], rel=1e-9)


def test_a_statement_that_leaves_out_who_could_have_acted_is_biased_and_the_whole_order_is_not() -> None:
    """E = 1 - p: the derivative is -1. In the runs that pay, nothing connects the coin with the cost."""

    def of(depends_on: Any) -> float:
        async def main(params: dict[str, Any]) -> float:
            await silent({**params, "depends_on": depends_on})
            return 0.0  # some runs declare no cost

        return sums(enumerated(main, {"p": 0.3}, [("main/tossing", 0)]), "p")["to_go"]

    assert of(None) == pytest.approx(-1.0)
    assert of("main/tossing") == pytest.approx(-1.0)
    assert of(()) == pytest.approx(0.0)


def test_decisions_answer_for_what_comes_after_them() -> None:
    def main(params: dict[str, Any]) -> float:
        for worth in (1.0, 10.0, 100.0):
            detrun.cost(worth)
            detrun.bernoulli(params["p"])
        return 1000.0

    scope = ScoredRun({"p": 0.5}, Scores(), True)
    SampledProgram(main, {"p": 0.5}, Options()).run({"p": 0.5}, 0, scope)
    assert scope.apart is not None
    assert list(scope.apart["main"].to_go) == [1110.0, 1100.0, 1000.0]
    assert list(scope.apart["main"].indices) == [0, 1, 2]


def thread_race(params: dict[str, Any]) -> Any:
    """Two threads write one number at opcodes."""
    detrun.set_weight(params["weight"], "main/first")
    workers = [
        threading.Thread(target=OPCODES["put"], args=(one,), name=name) for one, name in ((1, "first"), (2, "second"))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return OPCODES["last"]


async def one_step_race(params: dict[str, Any]) -> Any:
    """Two tasks write a number; a weight says who is preferred."""
    last = detrun.Shared(0.0)

    async def put(number: float) -> None:
        last.value = number

    detrun.set_weight(params["weight"], "main/put")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(put, 1.0)
        nursery.start_soon(put, 2.0)
    return last.value


def test_the_score_of_a_race_summed_over_all_schedules_is_the_derivative_of_its_closed_form() -> None:
    """The first writer is overwritten: E = 2 w / (1 + w) + 1 / (1 + w), so d/dw E = 1 / (1 + w)²."""
    found = sums(enumerated(one_step_race, {"weight": 2.0}, []), "weight")
    assert found["one"] == pytest.approx(1.0)
    assert found["by_loss"] == pytest.approx(1 / 9)
    assert found["to_go"] == pytest.approx(1 / 9)


def test_so_is_that_of_threads_at_opcodes() -> None:
    """Against the probabilities of the same schedules at weights beside, which a central difference compares."""
    options = Options(preemption="opcode", include=("instructions.py",))
    found = sums(enumerated(thread_race, {"weight": 1.5}, [], options), "weight")
    up, down = (
        sum(weight * loss for weight, loss, _ in enumerated(thread_race, {"weight": 1.5 + h}, [], options))
        for h in (1e-4, -1e-4)
    )
    assert found["by_loss"] == pytest.approx((up - down) / 2e-4, rel=1e-6)
    assert found["to_go"] == pytest.approx(found["by_loss"], rel=1e-9)
    assert found["by_loss"] > 0.05
