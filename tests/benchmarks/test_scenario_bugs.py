"""The tables of planted bugs in the READMEs of scenarios are those of the results that are kept."""

from __future__ import annotations

import json

import pytest

from benchmarks import scenario_bugs
from detrun_scenarios.frame.catalogue import find_scenario
from tests.benchmarks.test_gradient_kinds import ROOT


@pytest.mark.parametrize("name", json.loads(scenario_bugs.KEPT.read_text())["scenarios"])
def test_the_table_of_a_scenario_is_that_of_the_kept_results_and_has_no_miss(name: str) -> None:
    scenario = find_scenario(name)
    kept = json.loads(scenario_bugs.KEPT.read_text())
    found = kept["scenarios"][name]
    assert tuple(found) == tuple(bug.name for bug in scenario.bugs)
    assert all(one["replays"] and None not in one["schedules"] for one in found.values())
    page = (ROOT / "scenarios" / "detrun_scenarios" / name / "README.md").read_text()
    shown = page.partition("<!-- bugs -->\n")[2].partition("<!-- end of bugs -->")[0]
    assert shown == scenario_bugs.markdown(scenario, kept)
