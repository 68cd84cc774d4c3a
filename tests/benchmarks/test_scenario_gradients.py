"""The tables of derivatives in the READMEs of scenarios are those of the results that are kept."""

from __future__ import annotations

import json

import pytest

from benchmarks import scenario_gradients
from detrun_scenarios.frame.catalogue import folder_of


@pytest.mark.parametrize("scenario", scenario_gradients.COMMANDS)
def test_the_table_of_a_scenario_is_that_of_the_kept_results(scenario: str) -> None:
    kept = json.loads(scenario_gradients.KEPT.read_text())
    assert tuple(kept["scenarios"][scenario]) == scenario_gradients.COMMANDS[scenario]
    page = (folder_of(scenario) / "README.md").read_text()
    shown = page.partition("<!-- gradients -->\n")[2].partition("<!-- end of gradients -->")[0]
    assert shown == scenario_gradients.markdown(scenario, kept)


def test_what_is_far_off_stands_out() -> None:
    assert scenario_gradients.errors_apart(1.0, 0.1, 2.0, 0.1) == "**7**"
    assert scenario_gradients.errors_apart(1.0, 0.0, 1.0, 0.0) == "both exact"
    assert scenario_gradients.errors_apart(1.0, 0.0, 2.0, 0.0) == "**wrong**"
