"""Tables and curves of tunings in the READMEs of scenarios are those of the results that are kept."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from benchmarks import scenario_tunings
from detrun_scenarios.frame.catalogue import find_scenario

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("scenario", scenario_tunings.COMMANDS)
def test_the_readme_shows_the_tunings_that_are_kept(scenario: str) -> None:
    kept = json.loads(scenario_tunings.KEPT.read_text())
    assert tuple(kept["scenarios"][scenario]) == scenario_tunings.COMMANDS[scenario]
    page = (ROOT / "scenarios" / "detrun_scenarios" / scenario / "README.md").read_text()
    shown = page.partition("<!-- tuning -->\n")[2].partition("<!-- end of tuning -->")[0]
    assert shown == scenario_tunings.markdown(scenario, kept)


@pytest.mark.parametrize("scenario", scenario_tunings.COMMANDS)
def test_no_contender_spends_more_than_its_budget(scenario: str) -> None:
    for arguments, found in json.loads(scenario_tunings.KEPT.read_text())["scenarios"][scenario].items():
        budget = int(arguments.partition("--budget ")[2].split()[0])
        assert all(0 <= spent <= budget for spent in found["events_used"].values())


@pytest.mark.parametrize("name", scenario_tunings.COMMANDS)
def test_each_tuning_that_is_kept_has_its_curves(name: str) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("PIL")
    figures = runpy.run_path(str(ROOT / "docs" / "figures" / "scenarios.py"))
    scenario = find_scenario(name)
    found = figures["kept_tunings"](scenario)
    panels = figures["curves"](found, scenario).axes
    assert [panel.get_title().split("\n")[0] for panel in panels] == [one["loss"] for one in found.values()]


def test_a_number_is_written_to_two_digits_of_its_error() -> None:
    assert scenario_tunings.with_error(0.123456, 0.0123) == "0.123 ± 0.012"
    assert scenario_tunings.with_error(7.5, 0.0) == "7.5000 ± 0.0000"
