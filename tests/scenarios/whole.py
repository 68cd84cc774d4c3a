"""What is asked of a scenario as a whole: that many seeds survive, that bugs are found, that derivatives are right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

import detrun
from detrun.checkers.assertions import Tally, tallying
from detrun.checkers.noted import About
from detrun.explore.failures.functions import function_at
from detrun.explore.failures.showing_steps import false_check
from detrun_scenarios.frame.declaration import Scenario, Size
from detrun_scenarios.frame.scenario_program import ScenarioProgram


def program_of(
    scenario: Scenario, size: Size, loss: str | None = None, bug: str | None = None, spared: str | None = None
) -> ScenarioProgram:
    return ScenarioProgram(scenario, scenario.setting(size, loss, bug, spared))


def survived(program: ScenarioProgram, seeds: Iterable[int]) -> Tally:
    """What was looked at in a run of each seed, which fails by itself if anything is wrong."""
    with tallying() as tally:
        for seed in seeds:
            detrun.record(program, {}, seed=seed, max_steps=20_000)
    return tally


def looked_at(tally: Tally) -> set[str]:
    """Names of the invariants that were looked at."""
    return {one.name for one in tally if one.kind == "always" and one.looked_at}


def check_survives(scenario: Scenario, seeds: range, hunts: Iterable[str] = (), of_each: range = range(0)) -> None:
    """Small runs of the right system hold every invariant, and those of ``seeds`` look at all of them.

    Args:
        seeds: of runs under the scenario's faults.
        hunts: bugs, in whose faults and variants the right system runs as well.
        of_each: seeds in each of these.
    """
    seen = looked_at(survived(program_of(scenario, "small"), seeds))
    for bug in hunts:
        survived(program_of(scenario, "small", spared=bug), of_each)
    assert seen == {one.name for one in scenario.invariants}


def check_replayed(scenario: Scenario) -> None:
    """A small run is replayed to the same digest.

    No other test has this seed: what the first run of a seed leaves behind in the process would make the replay differ.
    """
    program = program_of(scenario, "small")
    run = detrun.record(program, {}, seed=30_003)
    assert detrun.replay(program, {}, recording=run.recording).digest == run.digest


def check_large(scenario: Scenario) -> detrun.Run:
    """The large workload takes a hundred thousand steps and measures every loss; its run."""
    run = detrun.record(program_of(scenario, "large"), {}, seed=0)
    assert run.steps >= 100_000
    assert run.result.keys() == {one.name for one in scenario.losses}
    return run


def check_drawn(scenario: Scenario, folder: Path) -> None:
    """The picture of a run is drawn."""
    pytest.importorskip("matplotlib")
    assert scenario.draw is not None
    scenario.draw(str(folder / "run.png"), scenario.defaults, 0)
    assert (folder / "run.png").stat().st_size > 10_000


def check_breaks(scenario: Scenario, bug: str, seed: int, says: str) -> list[str]:
    """A planted bug breaks the invariant that it should in the run of this seed.

    Returns:
        What the failed check says that it is about: what each operation is called, and the function that noted it.
    """
    program = program_of(scenario, "small", bug=bug)
    steps = scenario.hunt_options(bug)["max_steps"]
    with pytest.raises(Exception, match=says) as broken:
        detrun.record(program, {}, seed=seed, max_steps=steps)
    found = false_check(broken.value)
    operations = found.operations if isinstance(found, About) else ()
    return [f"{label} {function_at(place.file, place.line)}" for label, place in operations]


def check_found_and_replayed(scenario: Scenario, bug: str) -> None:
    """A planted bug shows under the options that the scenario gives for it, and its recording shows it again."""
    program = program_of(scenario, "small", bug=bug)
    options = {**scenario.hunt_options(bug), "shrink": False, "explain": False}
    found = detrun.explore(program, {}, directory=None, **options)
    assert found.failure is not None
    with pytest.raises(type(found.failure.exception)):
        detrun.replay(program, {}, recording=found.failure.recording)


def frozen_difference(program: ScenarioProgram, params: Mapping[str, float], name: str, step: float) -> float:
    """Of a loss by one parameter, in runs of seed 1, whose schedule stays where the step is small enough."""
    above, below = (
        float(detrun.record(program, {**params, name: params[name] + sign * step}, seed=1).result) for sign in (1, -1)
    )
    return (above - below) / (2 * step)
