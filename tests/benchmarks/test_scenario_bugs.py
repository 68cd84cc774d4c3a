"""The tables of planted bugs in the READMEs of scenarios are those of the results that are kept."""

from __future__ import annotations

import json

from benchmarks import scenario_bugs
from detrun_scenarios.consensus import SCENARIO
from tests.benchmarks.test_gradient_kinds import ROOT


def test_the_table_of_consensus_is_that_of_the_kept_results_and_has_no_miss() -> None:
    kept = json.loads(scenario_bugs.KEPT.read_text())
    found = kept["scenarios"]["consensus"]
    assert tuple(found) == tuple(bug.name for bug in SCENARIO.bugs)
    assert all(one["replays"] and None not in one["schedules"] for one in found.values())
    page = (ROOT / "scenarios" / "detrun_scenarios" / "consensus" / "README.md").read_text()
    shown = page.partition("<!-- bugs -->\n")[2].partition("<!-- end of bugs -->")[0]
    assert shown == scenario_bugs.markdown(SCENARIO, kept)
