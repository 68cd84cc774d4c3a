"""The tables of planted bugs in the READMEs of scenarios: after how many schedules each is found, and its explanation.

A campaign for each bug and each of some seeds, by the default strategy under the bug's own faults and variant, until
the first schedule that fails; the first seed's is shrunk, replayed and explained. The right system goes through as many
schedules of the same hunt, with the same seeds. ``--first-seed`` takes other seeds than those by which a variant was
chosen.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

import detrun
from benchmarks.kept_results import RESULTS, kept_results, machines, options
from detrun.checkers.assertions import AssertionViolatedError
from detrun.explore.failures.explanation import Explanation
from detrun.explore.failures.functions import function_at
from detrun.explore.verdicts import PASSED
from detrun.world import Swarm
from detrun_scenarios.frame.catalogue import find_scenario
from detrun_scenarios.frame.declaration import Bug, Scenario
from detrun_scenarios.frame.scenario_program import ScenarioProgram

KEPT = RESULTS / "scenario-bugs.json"
SEEDS = 8
HEADER = (
    "bug",
    "hunted by",
    "schedules until found, by seed",
    "median",
    "seen as",
    "shrunk, seed {first}",
    "right system",
)
EXPLAINED = ("bug", "what matters", "where", "planted in")


def measured(scenario: Scenario, bug: Bug, seeds: range) -> dict[str, Any]:
    """What so many campaigns of one bug came to."""
    began = time.process_time()
    exploring = {**scenario.hunt_options(bug.name), "directory": None}
    planted = ScenarioProgram(scenario, scenario.setting("small", bug=bug.name))
    right = ScenarioProgram(scenario, scenario.setting("small", spared=bug.name))
    schedules: list[int | None] = []
    said: set[str] = set()
    shrunk, replays, survived = "", False, 0
    explained: dict[str, Any] = {}
    for seed in seeds:
        is_first = seed == seeds.start
        found = detrun.explore(planted, {}, seed=seed, **{"shrink": is_first, "explain": is_first, **exploring})
        schedules.append(None if found.failure is None else found.schedules)
        survival = detrun.explore(right, {}, seed=seed, **{**exploring, "schedules": found.schedules})
        if survival.verdict != PASSED:
            raise click.ClickException(f"the right system failed in the hunt for {bug.name}, seed {seed}")
        survived += survival.schedules
        if found.failure is None:
            continue
        said.add(_first_words(found.failure.exception))
        if is_first:
            whole = f"not tried, {found.failure.recording.steps:,} steps"
            shrunk = whole if found.failure.shrunk is None else str(found.failure.shrunk).removeprefix("shrunk ")
            replays = _fails_again(planted, found.failure)
            explained = _explained(found.failure.explanation)
    return {
        "first_seed": seeds.start,
        "schedules": schedules,
        "seen_as": sorted(said),
        "shrunk": shrunk,
        "replays": replays,
        "explained": explained,
        "planted_in": list(bug.places),
        "right_survived": survived,
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def _first_words(error: BaseException) -> str:
    """What differs from seed to seed left out."""
    if isinstance(error, AssertionViolatedError):
        return f"always {error.name!r} was false"
    return str(error).splitlines()[0].partition(" of '")[0]


def _fails_again(program: ScenarioProgram, failure: Any) -> bool:
    try:
        detrun.replay(program, {}, recording=failure.recording)
    except type(failure.exception) as again:
        return str(again) == str(failure.exception)
    return False


def _explained(explanation: Explanation | None) -> dict[str, Any]:
    if explanation is None or not explanation.verified:
        return {}
    matters = explanation.text.partition("What matters is ")[2].partition("\n")[0]
    where = [
        f"{label} {function_at(line.file, line.number)}, {Path(line.file).name}:{line.number}"
        for label, operation in zip(explanation.labels, explanation.places, strict=True)
        if (line := operation.line) is not None
    ]
    return {"matters": matters.removesuffix(":"), "where": where}


def markdown(scenario: Scenario, kept: Mapping[str, Any]) -> str:
    """The table of a scenario's README."""
    firsts = dict.fromkeys(found.get("first_seed", 0) for found in kept["scenarios"][scenario.name].values())
    header = [one.format(first=" or ".join(map(str, firsts))) for one in HEADER]
    lines = ["".join(f"| {one} " for one in header) + "|", "| --- " * len(header) + "|"]
    for name, found in kept["scenarios"][scenario.name].items():
        schedules = found["schedules"]
        hits = [one for one in schedules if one is not None]
        row = (
            f"`{name}`",
            _hunted_by(scenario, scenario.bug(name)),
            ", ".join("none" if one is None else str(one) for one in schedules),
            f"{statistics.median(hits):g}" if hits else "–",
            "; ".join(found["seen_as"]),
            f"{found['shrunk'].partition(':')[0]}; replays" if found["replays"] else "**does not replay**",
            f"survives {found['right_survived']}",
        )
        lines.append(f"| {' | '.join(row)} |")
    lines += ["", "".join(f"| {one} " for one in EXPLAINED) + "|", "| --- " * len(EXPLAINED) + "|"]
    for name, found in kept["scenarios"][scenario.name].items():
        explained = found["explained"] or {"matters": "not explained", "where": ["–"]}
        row = (f"`{name}`", explained["matters"], "; ".join(explained["where"]), " and ".join(found["planted_in"]))
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join([*lines, "", machines(kept, scenario.name), ""])


def _hunted_by(scenario: Scenario, bug: Bug) -> str:
    if bug.faults is not None:
        return "its plan"
    if scenario.faults is None:
        return "schedules alone"
    return "the swarm" if isinstance(scenario.faults, Swarm) else "the plan"


@click.command(help="Planted bugs of scenarios: schedules until the default exploration finds them.")
@click.option("--scenario", "name", default="consensus", show_default=True)
@click.option("--seeds", default=SEEDS, show_default=True, help="Campaigns of each bug.")
@click.option("--first-seed", default=0, show_default=True, help="Of the campaigns.")
@options
def main(name: str, seeds: int, first_seed: int, only: tuple[str, ...], show: bool) -> None:
    """Measure, keep, and print the table of the README."""
    scenario = find_scenario(name)

    def measure(bug: str) -> dict[str, Any]:
        return measured(scenario, scenario.bug(bug), range(first_seed, first_seed + seeds))

    kept = kept_results(KEPT, name, [bug.name for bug in scenario.bugs], measure, only, show)
    click.echo(markdown(scenario, kept), nl=False)


if __name__ == "__main__":
    main()
