"""What every scenario promises: other processes repeat its runs, and its large run is large."""

from __future__ import annotations

import pytest

import detrun
from detrun_scenarios.frame.catalogue import all_scenarios
from detrun_scenarios.frame.scenario_program import ScenarioProgram

SCENARIOS = all_scenarios()


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_small_run_has_the_same_digest_in_a_fresh_process_under_another_hash_seed(name: str) -> None:
    if name == "training":
        pytest.importorskip("torch")
    program = ScenarioProgram(SCENARIOS[name], SCENARIOS[name].setting("small"))
    detrun.check_determinism(program, {}, seed=3, fresh_process=True)  # raises where a run differs


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["key_value", "write_ahead_log"])
def test_a_large_run_takes_a_hundred_thousand_steps(name: str) -> None:
    """Of the others, consensus and database have tests of their own, and the thermostat takes a million."""
    program = ScenarioProgram(SCENARIOS[name], SCENARIOS[name].setting("large"))
    assert detrun.record(program, {}).steps >= 100_000
