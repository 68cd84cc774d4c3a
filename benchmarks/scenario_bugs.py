"""The tables of planted bugs in the READMEs of scenarios: after how many schedules the default exploration finds each.

A campaign for each bug and each of eight seeds, by the default strategy under the bug's own faults and variant, until
the first schedule that fails; the first seed's is shrunk and replayed. The right system goes through as many schedules
of the same hunt, with the same seeds.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

import detrun
from benchmarks.measuring import machine
from detrun.explore.verdicts import PASSED
from detrun_scenarios.frame.catalogue import find_scenario
from detrun_scenarios.frame.declaration import Bug, Scenario
from detrun_scenarios.frame.scenario_program import ScenarioProgram

KEPT = Path(__file__).parent / "results" / "scenario-bugs.json"
SEEDS = range(8)
HEADER = ("bug", "hunted by", "schedules until found, by seed", "median", "seen as", "shrunk, seed 0", "right system")


def measured(scenario: Scenario, bug: Bug) -> dict[str, Any]:
    """What the campaigns of one bug came to."""
    began = time.process_time()
    options: dict[str, Any] = {**scenario.explore_options, **bug.options, "directory": None, "explain": False}
    planted = ScenarioProgram(scenario, scenario.setting("small", bug=bug.name))
    right = ScenarioProgram(scenario, scenario.setting("small", spared=bug.name))
    schedules: list[int | None] = []
    said: set[str] = set()
    shrunk, replays, survived = "", False, 0
    for seed in SEEDS:
        found = detrun.explore(planted, {}, seed=seed, shrink=seed == SEEDS[0], **options)
        schedules.append(None if found.failure is None else found.schedules)
        survival = detrun.explore(right, {}, seed=seed, **{**options, "schedules": found.schedules})
        if survival.verdict != PASSED:
            raise click.ClickException(f"the right system failed in the hunt for {bug.name}, seed {seed}")
        survived += survival.schedules
        if found.failure is None:
            continue
        said.add(str(found.failure.exception).splitlines()[0].partition(" of '")[0])
        if found.failure.shrunk is not None:
            shrunk = str(found.failure.shrunk).removeprefix("shrunk ")
            replays = _fails_again(planted, found.failure)
    return {
        "schedules": schedules,
        "seen_as": sorted(said),
        "shrunk": shrunk,
        "replays": replays,
        "right_survived": survived,
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def _fails_again(program: ScenarioProgram, failure: Any) -> bool:
    try:
        detrun.replay(program, {}, recording=failure.recording)
    except type(failure.exception) as again:
        return str(again) == str(failure.exception)
    return False


def markdown(scenario: Scenario, kept: Mapping[str, Any]) -> str:
    """The table of a scenario's README."""
    lines = ["".join(f"| {one} " for one in HEADER) + "|", "| --- " * len(HEADER) + "|"]
    for name, found in kept["scenarios"][scenario.name].items():
        schedules = found["schedules"]
        hits = [one for one in schedules if one is not None]
        row = (
            f"`{name}`",
            "its plan" if scenario.bug(name).faults is not None else "the swarm",
            ", ".join("none" if one is None else str(one) for one in schedules),
            f"{statistics.median(hits):g}" if hits else "–",
            "; ".join(found["seen_as"]),
            f"{found['shrunk'].partition(':')[0]}; replays" if found["replays"] else "**does not replay**",
            f"survives {found['right_survived']}",
        )
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join([*lines, "", kept["about"], ""])


@click.command(help="Planted bugs of scenarios: schedules until the default exploration finds them.")
@click.option("--scenario", "name", default="consensus", show_default=True)
@click.option("--only", multiple=True, metavar="BUG", help="Only these; may be repeated.")
@click.option("--show", is_flag=True, help="Run nothing: print the table of what is kept.")
def main(name: str, only: tuple[str, ...], show: bool) -> None:
    """Measure, keep, and print the table of the README."""
    scenario = find_scenario(name)
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {"scenarios": {}}
    if not show:
        before = kept["scenarios"].get(name, {})
        kept["about"] = f"{machine()}."
        for bug in scenario.bugs:
            if not only or bug.name in only:
                before[bug.name] = measured(scenario, bug)
                click.echo(f"{bug.name}: {before[bug.name]}", err=True)
            kept["scenarios"][name] = {one.name: before[one.name] for one in scenario.bugs if one.name in before}
            KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    click.echo(markdown(scenario, kept), nl=False)


if __name__ == "__main__":
    main()
