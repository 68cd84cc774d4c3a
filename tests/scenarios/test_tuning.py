"""Contenders of a tuning keep to the budget, and propose what they have when they are stopped."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

import detrun
from detrun_scenarios.frame import comparison, tuning
from detrun_scenarios.frame.catalogue import find_scenario
from detrun_scenarios.frame.scenario_program import ScenarioProgram
from detrun_scenarios.frame.tuning import (
    BLACK_BOXES,
    Evaluations,
    PlainRuns,
    Problem,
    Proposal,
    Stop,
    by_cma,
    by_minimize,
    by_optuna,
)
from detrun_scenarios.frame.tuning_page import notes_of

START = {"x": 2.0, "y": 1.0}
BOUNDS = {"x": (0.5, 4.0), "y": (0.0, 3.0)}
CONTENDERS = {
    "minimize": partial(by_minimize, kind="local", rate=0.1, samples=2, held_out=4),
    "optuna": by_optuna,
    "cma": by_cma,
}


async def bowl(params: Mapping[str, Any]) -> Any:
    """Least at (1, 2), with some noise."""
    return (params["x"] - 1.0) ** 2 + (params["y"] - 2.0) ** 2 + detrun.normal(0.0, 0.01)


PROBLEM = Problem(bowl, START, BOUNDS, log_scaled=("x",), unit="runs", averaged=2)


@pytest.mark.parametrize("name", ["minimize", *(pytest.param(name, marks=pytest.mark.slow) for name in BLACK_BOXES)])
def test_a_contender_gets_better_within_its_budget_and_proposes_less_when_it_is_stopped(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name != "minimize":
        pytest.importorskip(name)
    monkeypatch.setattr(tuning, "TOGETHER", 2)
    tune: Callable[[Problem, int, int, Stop], Proposal] = CONTENDERS[name]
    whole = tune(PROBLEM, 60, 1, tuning.never)
    assert 0 < whole.spent <= 60
    assert [one.spent for one in whole.way] == sorted(one.spent for one in whole.way)
    assert whole.params == whole.way[-1].params
    assert all(low <= whole.params[name] <= high for name, (low, high) in BOUNDS.items())
    assert whole.way[-1].loss < whole.way[0].loss
    assert all(type(one) is float for one in whole.params.values())
    asked = iter(range(5))
    part = tune(PROBLEM, 60, 1, lambda: next(asked, None) is None)
    assert part.spent < whole.spent
    assert part.way == whole.way[: len(part.way)]
    assert part.params == (part.way[-1].params if part.way else START)
    assert tune(PROBLEM, 60, 1, lambda: True) == Proposal(START, 0)


def test_a_budget_for_less_than_five_iterations_is_used_for_as_many_as_fit() -> None:
    """Three runs for each iteration, and four each for the looks before and behind them."""
    spent = [CONTENDERS["minimize"](PROBLEM, budget, 1, tuning.never).spent for budget in (10, 13, 22, 23)]
    assert spent == [0, 11, 14, 23]


def test_evaluations_use_every_seed_once() -> None:
    seeds: list[int] = []

    class Runs(PlainRuns):
        def __init__(self) -> None:
            self.spent = 0

        def loss(self, params: Mapping[str, float], seed: int) -> float:
            seeds.append(seed)
            self.spent += 1
            return 2.0

    evaluations = Evaluations(PROBLEM, 5, 0, tuning.never, Runs())
    assert evaluations.loss(START) == evaluations.loss(START) == 2.0
    assert len(set(seeds)) == len(seeds) == 4
    assert not evaluations.are_left()  # of two runs each, after four of five


def test_a_parameter_moves_by_parts_of_its_bounds_where_its_default_is_a_small_part_of_them() -> None:
    problem = Problem(bowl, {"x": 1.0, "y": 0.001, "z": 9.0}, {**BOUNDS, "z": (0.0, 10.0)}, log_scaled=("x",))
    assert problem.scales == {"y": 0.75, "z": 9.0}


def test_ctrl_c_leaves_out_the_contenders_after_it_and_judges_the_rest() -> None:
    scenario = find_scenario("thermostat")
    program = ScenarioProgram(scenario, scenario.setting("small", "effort"))
    said: list[str] = []

    def say(who: str) -> None:
        if not said:
            signal.raise_signal(signal.SIGINT)
        said.append(who)

    found = comparison.tune(program, scenario.defaults, None, 10_000, 0, 2, say)
    assert found.interrupted
    assert found.left_out == dict.fromkeys(("optuna", "cma"), "interrupted before its turn")
    assert found.tuned.proposal.params == scenario.defaults
    assert found.tuned.held_out == found.default
    assert said[-1].startswith("interrupted")
    of_all, *of_contenders = notes_of(found)
    assert of_all.startswith("interrupted")
    assert of_contenders == [f"{who} is left out: {why}" for who, why in found.left_out.items()]
