"""``detrun scenario run``: one run of a system, with all its losses and its invariants by name."""

from __future__ import annotations

import shlex
from typing import Any

import click

from detrun.cli.options import deciding, max_steps_option, parameter_option, speaking
from detrun_scenarios.commands.choosing import bug_option, name_argument, params_of, size_option


@click.command(short_help="Run a system once: its losses, and whether its invariants held.")
@name_argument
@bug_option
@size_option("large")
@click.option("-o", "--output", metavar="FILE", type=click.Path(), help="Write the recording to this file.")
@deciding
@max_steps_option
@parameter_option
@speaking
def run(
    name: str,
    bug: str | None,
    size: Any,
    output: str | None,
    seed: int,
    strategy: str,
    max_steps: int | None,
    params: tuple[str, ...],
) -> None:
    """Run the scenario NAME once, under its faults, and report its losses and invariants."""
    import detrun
    from detrun.checkers.assertions import tallying
    from detrun.cli import runs
    from detrun.cli.progress import run_progress
    from detrun_scenarios.frame.catalogue import find_scenario
    from detrun_scenarios.frame.invariants import Checked, checked_invariants, reached
    from detrun_scenarios.frame.scenario_program import ScenarioProgram

    scenario = find_scenario(name)
    numbers = params_of(scenario, params)
    program = ScenarioProgram(scenario, scenario.setting(size, bug=bug))
    if output is not None:
        runs.check_output(output)
    # An OSError of the program's is in the run: this is the file's, as of a full disk.
    with runs.writing(output), runs.program_output(), run_progress("running"), tallying() as tally:
        found = detrun.record(
            program,
            numbers,
            seed=seed,
            strategy=strategy,
            max_steps=max_steps,
            to=output,
            raise_errors=False,
            params=numbers,
        )
    losses = {} if found.exception is not None else {one: float(loss) for one, loss in found.result.items()}
    invariants = checked_invariants(scenario, tally)
    came_by = reached(tally)
    again = [] if output is None else [f"detrun replay {shlex.quote(output)}"]
    document = {
        "scenario": name,
        "bug": bug,
        "size": size,
        "seed": seed,
        "strategy": strategy,
        "params": numbers,
        "digest": found.digest,
        "steps": found.steps,
        "virtual_time": found.virtual_time,
        "losses": losses,
        "invariants": {one.name: one.holds for one in invariants},
        "looked_at": {one.name: one.looked_at for one in invariants},
        "reached": came_by,
        "recording": output,
    }
    units = {one.name: one.unit for one in scenario.losses}
    facts = {
        **{one: f"{loss:.6g} {units[one]}".rstrip() for one, loss in losses.items()},
        "invariants": "\n".join(map(Checked.__str__, invariants)) or "none are declared",
        **({"came by": "\n".join(f"{one}: {times:,} times" for one, times in came_by.items())} if came_by else {}),
        "steps": f"{found.steps:,}",
        "virtual time": f"{found.virtual_time:.9g} s",
        "digest": found.digest,
        **({"again": again[0]} if again else {}),
    }
    planted = "" if bug is None else f" with the bug {bug}"
    runs.conclude("scenario", found, document, facts, f"ran {name}{planted}, seed {seed}", [])
