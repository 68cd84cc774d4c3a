"""Tables and curves of tunings in the READMEs of scenarios are those of the results that are kept."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import scenario_tunings
from benchmarks.kept_results import repetitions_of
from benchmarks.measuring import machine
from detrun_scenarios.frame.catalogue import find_scenario, folder_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("scenario", scenario_tunings.COMMANDS)
def test_the_readme_shows_the_tunings_that_are_kept(scenario: str) -> None:
    kept = json.loads(scenario_tunings.KEPT.read_text())
    assert tuple(kept["scenarios"][scenario]) == scenario_tunings.COMMANDS[scenario]
    page = (folder_of(scenario) / "README.md").read_text()
    shown = page.partition("<!-- tuning -->\n")[2].partition("<!-- end of tuning -->")[0]
    assert shown == scenario_tunings.markdown(scenario, kept)


@pytest.mark.parametrize("scenario", scenario_tunings.COMMANDS)
def test_no_contender_spends_more_than_its_budget(scenario: str) -> None:
    for arguments, found in json.loads(scenario_tunings.KEPT.read_text())["scenarios"][scenario].items():
        budget = int(arguments.partition("--budget ")[2].split()[0])
        for one in repetitions_of(found):
            assert all(0 <= spent <= budget for spent in one["events_used"].values())


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


def said(seed: int) -> dict[str, Any]:
    """Of a tuning that gains 1.0 and more with the seed."""
    return {
        "loss": "wait",
        "kind": "local",
        "default": 5.0,
        "tuned": 4.0 - seed,
        "black_box": {},
        "standard_errors": {"default": 0.1, "tuned": 0.1},
        "gains": {"tuned": {"mean": 1.0 + seed, "std_error": 0.05}},
        "events_used": {"tuned": 100 + 10 * seed},
        "params": {"service": 0.5 + seed},
        "default_params": {"service": 2.0},
        "black_box_params": {},
        "ways": {"tuned": []},
        "left_out": {},
        "cpu_seconds": 1.0,
    }


def test_repetitions_are_other_seeds_and_those_that_are_kept_are_not_measured_again() -> None:
    asked: list[str] = []

    def tune(command: str, scenario: str, arguments: str, fields: Iterable[str]) -> dict[str, Any]:
        asked.append(f"{command} {scenario} {arguments}")
        return said(int(arguments.split()[-1]))

    so_far: list[int] = []
    once = scenario_tunings.repeated("shop", "--loss wait", 1, None, tune)
    assert once == {**said(0), "machine": f"{machine()}.", "repetitions": []}
    thrice = scenario_tunings.repeated(
        "shop", "--loss wait", 3, once, tune, lambda found: so_far.append(len(repetitions_of(found)))
    )
    assert so_far == [2, 3]  # each is kept as it comes
    assert asked == [f"tune shop --loss wait --seed {seed}" for seed in range(3)]
    assert [one["tuned"] for one in repetitions_of(thrice)] == [4.0, 3.0, 2.0]
    assert scenario_tunings.repeated("shop", "--loss wait", 3, thrice, tune) == thrice
    assert scenario_tunings.repeated("shop", "--loss wait", 1, thrice, tune) == thrice
    assert len(asked) == 3
    lines = scenario_tunings.table("shop", "--loss wait", thrice).splitlines()
    assert lines[2] == "| the default | 5.00 ± 0.10 |  |  | 2 |"
    assert lines[3] == "| detrun.minimize, `local` | 3.00 ± 0.58 | 2.00 ± 0.58 | 110 | 0.5 to 2.5 |"
    assert lines[-1].endswith("`--seed` 0 to 2, means over these ± their standard errors: 3 s of CPU")
    assert "| 4.00 ± 0.10 | 1.000 ± 0.050 | 100 | 0.5 |" in scenario_tunings.table("shop", "--loss wait", once)
