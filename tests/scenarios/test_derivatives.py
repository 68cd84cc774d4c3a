"""Derivatives of scenarios: what is taken once, what is passed on, and kinds that have to agree with differences."""

from __future__ import annotations

from typing import Any

import pytest

import detrun
from detrun_scenarios import consensus, thermostat
from detrun_scenarios.frame.declaration import Scenario, Size
from detrun_scenarios.frame.derivatives import Effort, differentiate
from detrun_scenarios.frame.scenario_program import ScenarioProgram


def of(scenario: Scenario, size: Size, loss: str) -> ScenarioProgram:
    return ScenarioProgram(scenario, scenario.setting(size, loss))


@pytest.mark.parametrize(("samples", "taken"), [(2, ["local", "finite"]), (5, ["local", "local", "finite"])])
def test_few_runs_are_differentiated_once(samples: int, taken: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    gradient, kinds = detrun.gradient, []

    def noted(*args: Any, kind: str, **options: Any) -> detrun.Gradient:
        kinds.append(kind)
        return gradient(*args, kind=kind, **options)

    monkeypatch.setattr(detrun, "gradient", noted)
    program = of(thermostat.SCENARIO, "small", "effort")
    found = differentiate(program, thermostat.SCENARIO.defaults, "local", Effort(samples=samples))
    assert kinds == taken
    assert all(one.agrees for one in found.derivatives)
    assert {one.frozen.runs for one in found.derivatives if one.frozen is not None} == {min(samples, 4)}


@pytest.mark.slow
def test_expected_gradients_of_elections_say_that_they_miss_which_heartbeat_is_the_last() -> None:
    program = of(consensus.SCENARIO, "medium", "unavailability")
    effort = Effort(by=("heartbeat_interval",), samples=8)
    found = differentiate(program, consensus.SCENARIO.defaults, "expected", effort)
    (one,) = found.derivatives
    assert one.derivative > 5.0  # the mean falls
    (warning,) = found.warnings
    assert warning.startswith("d/dheartbeat_interval may be off by up to ")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_policy_gradient_by_the_share_of_leases_is_that_of_differences() -> None:
    program = of(consensus.SCENARIO, "medium", "read_latency")
    found = differentiate(program, consensus.SCENARIO.defaults, effort=Effort(by=("lease_share",), samples=150))
    (one,) = found.derivatives
    assert one.kind == "policy"
    assert one.agrees
    assert one.derivative < -2.0 * one.std_error
