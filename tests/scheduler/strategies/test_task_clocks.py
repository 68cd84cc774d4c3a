"""Clocks of tasks by hand: known lengths, in a run that is no more than its runnable tasks and their weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from detrun_scheduler.strategies.task_clocks import TICKS, KeyedClocks, TaskClocks, exponential_ticks
from detrun_scheduler.strategies.weighted import Weighted
from detrun_scheduler.task_weights import TaskWeights


class Run:
    """Tasks by number; their paths are ``main/NUMBER``."""

    def __init__(self, *runnable: int, seed: int = 0) -> None:
        self.seed = seed
        self.weights: TaskWeights | None = None
        self.host = SimpleNamespace(queue=SimpleNamespace(numbers=list(runnable)))
        self.current = 0

    def path_of(self, task: int) -> str:
        return f"main/{task}"

    def steps(self, task: int, clocks: Any, *, left: bool = False) -> None:
        """A step of a task, which cannot run any more if it has ``left``."""
        self.current = task
        if left:
            self.host.queue.numbers.remove(task)
        clocks.step_taken(self)

    def arrives(self, task: int, arrived: list[int]) -> None:
        self.host.queue.numbers = sorted([*self.host.queue.numbers, task])
        arrived.append(task)


def lasting(**lengths: list[int]) -> TaskClocks:
    """Clocks of ``t1=[3, 5]``: 3 ticks for the first clock of task 1, 5 for its second."""
    return TaskClocks(lambda path, count: lengths["t" + path.removeprefix("main/")][count])


def chosen(clocks: TaskClocks, run: Any) -> int:
    runnable = run.host.queue.numbers
    return int(runnable[clocks.next_task(run, runnable)])


def test_the_clock_that_rings_first_is_chosen_and_time_goes_on_to_there() -> None:
    run: Any = Run(1, 2)
    clocks = lasting(t1=[10, 3, 9], t2=[4, 8, 7])
    order = []
    clocks.begin(run, [1, 2])
    for _ in range(4):
        order.append(chosen(clocks, run))
        run.steps(order[-1], clocks)
    assert order == [2, 1, 2, 1]  # rings at 4, 10, 12, 13
    assert clocks.now == 13
    assert clocks.rings == {1: 22, 2: 19}


def test_tasks_that_ring_at_once_are_chosen_by_their_numbers() -> None:
    run: Any = Run(1, 2, 3)
    clocks = lasting(t1=[6], t2=[5], t3=[5, 1])
    clocks.begin(run, [1, 2, 3])
    assert chosen(clocks, run) == 2
    clocks = lasting(t1=[6], t2=[5], t3=[5])
    assert chosen(clocks, run) == 2  # also where they were not begun
    assert clocks.counts == {"main/1": 1, "main/2": 1, "main/3": 1}


def test_tasks_that_arrive_begin_now_and_those_that_leave_have_no_clock() -> None:
    run: Any = Run(1)
    clocks = lasting(t1=[10], t2=[7, 2], t3=[5])
    clocks.begin(run, [1])
    run.arrives(2, clocks.arrived)
    clocks.arrived.append(3)  # it has left again
    run.steps(1, clocks, left=True)
    assert clocks.now == 10
    assert clocks.rings == {2: 17}
    assert clocks.arrived == []
    clocks.arrived.append(2)  # it has a clock already
    run.arrives(3, clocks.arrived)
    run.steps(9, clocks)  # of a task without a clock
    assert clocks.rings == {2: 17, 3: 15}
    assert chosen(clocks, run) == 3


def test_a_step_before_its_clock_rings_moves_time_there_and_one_behind_does_not_move_it_back() -> None:
    run: Any = Run(1, 2)
    clocks = lasting(t1=[10, 1], t2=[4, 6])
    clocks.begin(run, [1, 2])
    run.steps(1, clocks)  # it was alone for a while
    assert clocks.now == 10
    run.steps(2, clocks)
    assert clocks.now == 10
    assert clocks.rings == {1: 11, 2: 16}


def test_a_clock_that_rang_while_its_task_could_not_be_asked_starts_anew() -> None:
    run: Any = Run(1, 2)
    clocks = lasting(t1=[10, 1], t2=[4, 9])
    clocks.begin(run, [1, 2])
    run.steps(1, clocks)
    assert chosen(clocks, run) == 1  # at 11; that of task 2 was over at 4, and rings at 19 now
    assert clocks.rings == {1: 11, 2: 19}


def test_a_task_that_is_held_keeps_its_clock() -> None:
    run: Any = Run(1, 2)
    clocks = lasting(t1=[10], t2=[4])
    clocks.begin(run, [1, 2])
    assert clocks.next_task(run, [1]) == 0
    assert clocks.rings == {1: 10, 2: 4}
    assert chosen(clocks, run) == 2


def test_weights_divide_the_ticks_and_new_ones_what_is_left_of_them() -> None:
    run: Any = Run(1, 2)
    weights = {1: 2.0, 2: 1.0}
    clocks = TaskClocks(lambda path, count: 100, weights.__getitem__)
    clocks.begin(run, [1, 2])
    assert clocks.rings == {1: 50, 2: 100}
    run.steps(1, clocks)
    assert (clocks.now, clocks.rings) == (50, {2: 100, 1: 100})
    weights[2], weights[1] = 5.0, 4.0
    clocks.reweigh()
    assert clocks.rings == {2: 60, 1: 75}
    assert clocks.heap == [(60, 2), (75, 1)]
    assert clocks.weights == {1: 4.0, 2: 5.0}
    clocks.now = 70
    weights[2] = 1.0
    clocks.reweigh()
    assert clocks.rings == {2: 70, 1: 75}  # what has rung lasts no longer


def test_the_mean_clock_lasts_as_many_ticks_as_are_in_a_unit() -> None:
    assert exponential_ticks(0) == 1
    assert exponential_ticks(1 << 63) == pytest.approx(TICKS * 0.6931471805599453, rel=1e-12)
    clocks = KeyedClocks(3)
    assert clocks("main/a", 0) == KeyedClocks(3)("main/a", 0)
    assert len({clocks("main/a", 0), clocks("main/a", 1), clocks("main/b", 0), KeyedClocks(4)("main/a", 0)}) == 4


def weighted(run: Any, weights: dict[str, float] | None = None) -> Weighted:
    strategy = Weighted(weights)
    strategy.new_run(run)
    return strategy


def test_the_programs_weights_come_before_the_strategys_and_those_before_one() -> None:
    run: Any = Run(1, 2, 3)
    run.weights = TaskWeights({"main/1": 7.0})
    assert weighted(run, {"main/1": 3.0, "main/2": 5.0}).weights([1, 2, 3]) == [7.0, 5.0, 1.0]
    run.weights = None
    assert weighted(run, {"main/1": 3.0, "main/2": 5.0}).weights([1, 2, 3]) == [3.0, 5.0, 1.0]
    assert weighted(run).weights([1]) == [1.0]


def test_a_weight_is_looked_up_once_while_none_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    monkeypatch.setattr(Run, "path_of", lambda self, task: looked.append(task) or f"main/{task}")
    strategy = weighted(Run(1, 2), {"main/1": 3.0})
    for _ in range(2):
        assert strategy.weights([1, 2]) == [3.0, 1.0]
    assert looked == [1, 2]


@pytest.mark.parametrize("how", ["weights", "next_task", "step_taken"])
def test_a_weight_that_changes_is_noticed_by_whatever_is_asked_next(how: str) -> None:
    run: Any = Run(1, 2)
    run.weights = TaskWeights()
    strategy = weighted(run)
    strategy.next_task([1, 2], 0)
    before = dict(strategy.clocks.rings)
    run.weights.set("main/1", 4.0)
    if how == "weights":
        assert strategy.weights([1, 2]) == [4.0, 1.0]
    elif how == "next_task":
        strategy.next_task([1, 2], 0)
        assert strategy.clocks.rings[1] == int(before[1] * 0.25)
    else:
        run.steps(2, strategy)
    assert strategy.weights([1]) == [4.0]
    # A quarter of the clock, from where time was when the weight changed: a step moves it on after that.
    assert strategy.clocks.rings[1] == int(before[1] * 0.25)


def test_the_first_weight_of_a_program_is_noticed() -> None:
    run: Any = Run(1, 2)
    strategy = weighted(run)
    assert strategy.weights([1]) == [1.0]
    run.weights = TaskWeights()
    run.weights.set("main/1", 4.0)
    assert strategy.weights([1]) == [4.0]


def test_clocks_of_a_run_are_those_of_its_seed_and_are_told_of_arrivals() -> None:
    run: Any = Run(1, 2, seed=5)
    strategy = weighted(run)
    arrived = strategy.arrivals()
    strategy.clocks.begin(run, [1])
    assert strategy.clocks.rings == {1: KeyedClocks(5)("main/1", 0)}
    run.arrives(2, arrived)
    run.steps(3, strategy)
    assert set(strategy.clocks.rings) == {1, 2}
    strategy.found[1] = 9.0
    strategy.new_run(Run(1, seed=6))
    assert strategy.weights([1]) == [1.0]
    assert strategy.clocks.rings == {}
