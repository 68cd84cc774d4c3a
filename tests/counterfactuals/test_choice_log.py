"""The log between a run and two oracles: what it notes, and what each of them is told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

import detrun
from detrun.counterfactuals.choice_log import Choice, ChoiceLog


class Oracle:
    """Chooses the last task, and weighs each by its number."""

    def __init__(self, told: list[int] | None = None) -> None:
        self.told = told
        self.runs: list[Any] = []
        self.stepped: list[Any] = []

    def new_run(self, run: Any) -> None:
        self.runs.append(run)

    def arrivals(self) -> list[int] | None:
        return self.told

    def weights(self, runnable: Sequence[int]) -> list[float]:
        return [float(task) for task in runnable]

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        return len(runnable) - 1

    def draw(self, stream: bytes, index: int) -> int:
        return 100 * index + len(self.runs)

    def step_taken(self, run: Any) -> None:
        self.stepped.append(run.step_index)


class First(Oracle):
    def next_task(self, runnable: Sequence[int], current: int) -> int:
        return 0


def step(log: ChoiceLog, index: int, task: int) -> None:
    log.step_taken(SimpleNamespace(step_index=index, current=task))  # type: ignore[arg-type]


def test_a_choice_is_noted_with_the_weights_that_the_distribution_gave() -> None:
    log = ChoiceLog(Oracle(), First())
    log.new_run("a run")
    assert log.next_task([2, 3, 5], 0) == 0
    step(log, 7, 2)
    step(log, 8, 3)  # it followed from no choice
    assert log.choices == [Choice(7, 2, (2, 3, 5), (2.0, 3.0, 5.0))]
    assert log.choices[0].probability == 0.2
    log.next_task([2, 3], 2)
    step(log, 9, 3)
    assert log.log_probability == pytest.approx(math.log(0.2) + math.log(0.6))


def test_the_first_step_at_which_the_chooser_was_overruled_is_known() -> None:
    log = ChoiceLog(Oracle())
    log.new_run("a run")
    for index, task in ((4, 3), (5, 2), (6, 2), (7, 9)):
        log.next_task([2, 3], 0)
        step(log, index, task)
    assert log.differs == 5
    assert [one.step for one in log.choices] == [4, 5, 6]  # what was not asked about is no choice
    log.next_task([2, 3], 0)
    log.new_run("another")
    assert (log.differs, log.choices) == (None, [])
    step(log, 0, 2)
    assert log.choices == []


def test_both_oracles_are_told_of_everything_and_one_that_is_both_once() -> None:
    weighs, chooses = Oracle([]), First([])
    log = ChoiceLog(weighs, chooses)
    log.new_run("a run")
    arrived = log.arrivals()
    arrived += [2, 3]
    log.next_task([2, 3], 0)
    assert weighs.told == chooses.told == [2, 3]  # before they choose
    arrived.append(4)
    step(log, 0, 2)
    for one in (weighs, chooses):
        assert (one.runs, one.told, one.stepped) == (["a run"], [2, 3, 4], [0])
    assert arrived == []
    assert log.draw(b"stream", 3) == 301
    alone = Oracle([])
    log = ChoiceLog(alone)
    log.new_run("a run")
    arrived = log.arrivals()
    arrived.append(2)
    log.next_task([2], 0)
    step(log, 0, 2)
    assert (alone.runs, alone.told, alone.stepped) == (["a run"], [2], [0])
    ChoiceLog(Oracle(None), First(None)).arrivals().append(2)  # neither wants to know


def test_an_oracle_that_cannot_weigh_is_refused_with_the_ones_that_can() -> None:
    with pytest.raises(detrun.UsageError, match=r"strategy fifo does not .* use one of random, .*weighted"):
        ChoiceLog("fifo")
