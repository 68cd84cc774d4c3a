"""Rates are chosen on seeds that no tuning of a table is judged on."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import scenario_rates
from detrun_scenarios.frame.catalogue import find_scenario
from detrun_scenarios.frame.scenario_program import ScenarioProgram
from detrun_scenarios.frame.tuning import CHOICE, VERDICT, Problem, Proposal, verdicts


def test_a_rate_is_tried_and_judged_on_seeds_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[int, float]] = []
    judged: list[int] = []

    def by_minimize(problem: Problem, budget: int, seed: int, *, rate: float, **options: Any) -> Proposal:
        tried.append((seed, rate))
        return Proposal(problem.start, budget)

    def seen(problem: Problem, proposals: Any, runs: int, first: int) -> list[list[float]]:
        judged.extend(range(first, first + runs))
        return verdicts(problem, proposals, runs, first)

    monkeypatch.setattr(scenario_rates, "by_minimize", by_minimize)
    monkeypatch.setattr(scenario_rates, "verdicts", seen)
    scenario = find_scenario("physics")
    program = ScenarioProgram(scenario, scenario.setting("medium", loss="squared_miss"))
    losses, spent = scenario_rates.judged(program, 3000, 0.3, ("launch_speed",), 2, 2)
    assert tried == [(100, 0.3), (101, 0.3)]
    assert judged == [CHOICE, CHOICE + 1]
    assert not {*judged} & {*range(VERDICT, VERDICT + 10_000)}
    assert losses[0] == losses[1] > 0.0  # both propose the default
    assert spent == [3000, 3000]
