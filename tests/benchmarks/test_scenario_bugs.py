"""What the READMEs say of planted bugs is what the kept results say."""

from __future__ import annotations

import json
import re
from statistics import median

import pytest

from benchmarks import scenario_bugs, scenario_tunings
from detrun_scenarios.frame.catalogue import find_scenario, folder_of
from tests.benchmarks.test_gradient_kinds import ROOT


@pytest.mark.parametrize("name", json.loads(scenario_bugs.KEPT.read_text())["scenarios"])
def test_the_table_of_a_scenario_is_that_of_the_kept_results_and_has_no_miss(name: str) -> None:
    scenario = find_scenario(name)
    kept = json.loads(scenario_bugs.KEPT.read_text())
    found = kept["scenarios"][name]
    planted_in = [(bug, tuple(one["planted_in"])) for bug, one in found.items()]
    assert planted_in == [(bug.name, bug.places) for bug in scenario.bugs]
    assert all(one["replays"] and None not in one["schedules"] for one in found.values())
    page = (folder_of(name) / "README.md").read_text()
    shown = page.partition("<!-- bugs -->\n")[2].partition("<!-- end of bugs -->")[0]
    assert shown == scenario_bugs.markdown(scenario, kept)


TOLD_AT_ONE_OR_NEITHER = {"ack_before_fsync"}


def test_every_other_bug_is_told_at_its_two_places() -> None:
    for bugs in json.loads(scenario_bugs.KEPT.read_text())["scenarios"].values():
        for bug, found in bugs.items():
            told = " ".join(found["explained"].get("where", []))
            assert bug in TOLD_AT_ONE_OR_NEITHER or all(f" {one}," in f" {told}" for one in found["planted_in"]), bug


@pytest.mark.parametrize("name", json.loads(scenario_bugs.KEPT.read_text())["scenarios"])
def test_the_front_page_counts_what_is_kept_of_a_scenario(name: str) -> None:
    """Its line in the README: bugs, seeds that found them, least and largest median of schedules, losses tuned."""
    bugs = json.loads(scenario_bugs.KEPT.read_text())["scenarios"][name].values()
    tunings = json.loads(scenario_tunings.KEPT.read_text())["scenarios"].get(name, {})
    (line,) = re.findall(rf"^\| \[{name}\].*\|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    *_, hunted, tuned, _ = line.split("|")
    (seeds,) = {len(one["schedules"]) for one in bugs}
    medians = sorted({median(one["schedules"]) for one in bugs})
    span = medians if len(medians) == 1 else [medians[0], medians[-1]]
    assert [float(number) for number in re.findall(r"[\d.]+", hunted)] == [len(bugs), seeds, seeds, *span]
    if tunings:  # that of the thermostat is described in its README
        assert tuned.split()[0] == str(len({one["loss"] for one in tunings.values()}))
