"""``detrun scenario explore``: a campaign against a system, or the hunt for a bug that is planted in it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detrun.cli.options import parameter_option, settings, speaking
from detrun_scenarios.commands.choosing import bug_option, name_argument, params_of, size_option

if TYPE_CHECKING:
    from detrun.explore.verdicts import Exploration
    from detrun_scenarios.frame.declaration import Bug


@click.command(short_help="Run a system under many schedules and faults; explain the first that fails.")
@name_argument
@bug_option
@click.option("--without", "spared", metavar="BUG", help="Look for this bug where there is none: a check of its hunt.")
@size_option("small")
@click.option("-n", "--schedules", type=click.IntRange(min=1), metavar="N", help="At most N schedules.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides every random choice.")
@click.option(
    "--directory",
    default=".detrun",
    show_default=True,
    type=click.Path(file_okay=False),
    help="Directory of failing schedules, which are tried first next time.",
)
@click.option("-j", "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Number of processes.")
@parameter_option
@speaking
def explore(
    name: str,
    bug: str | None,
    spared: str | None,
    size: Any,
    schedules: int | None,
    seed: int,
    directory: str,
    workers: int,
    params: tuple[str, ...],
) -> None:
    """Explore the scenario NAME with the default strategy, under its faults; a failure is shrunk and explained.

    With --bug the exit code says what the campaign found, as without it: 1 for a failed schedule. --without has the
    faults, the workload and the options that the bug is looked for with, and the right system must survive them.
    """
    import detrun
    from detrun.cli import runs
    from detrun.explore.campaign.progress import campaign_progress
    from detrun.explore.explorer import FailuresNotKeptWarning
    from detrun.explore.failures.kept import KeptFailures
    from detrun_scenarios.frame.catalogue import find_scenario
    from detrun_scenarios.frame.scenario_program import ScenarioProgram

    scenario = find_scenario(name)
    numbers = params_of(scenario, params)
    planted = None if bug is None else scenario.bug(bug)
    program = ScenarioProgram(scenario, scenario.setting(size, bug=bug, spared=spared))
    options = scenario.hunt_options(bug if spared is None else spared)
    if schedules is not None:
        options["schedules"] = schedules
    if not_kept := KeptFailures(Path(directory)).unwritable:
        click.echo(f"note: {not_kept}; choose another with --directory", err=True)
    with (
        runs.program_output(),
        campaign_progress(options.get("schedules", 1000)) as progress,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", FailuresNotKeptWarning)
        found = detrun.explore(
            program, numbers, seed=seed, directory=directory, workers=workers, progress=progress, **options
        )
    _conclude(name, planted, found)


def _conclude(name: str, planted: Bug | None, found: Exploration) -> None:
    """Print what was found and end the command with its exit code, which is that of `detrun explore`."""
    from detrun.cli import failures
    from detrun.cli.listing import print_listing
    from detrun.cli.page import open_page, print_document
    from detrun.explore.verdicts import INCONCLUSIVE

    failure = found.failure
    code = failures.OK
    if failure is not None:
        code = failures.exit_code(failure.exception)
    elif found.verdict == INCONCLUSIVE:
        code = failures.INTERRUPTED if found.interrupted else failures.UNDECIDED
    explanation = None if failure is None else failure.explanation
    named = places_named(found)
    if settings().json:
        print_document(
            {
                "command": "scenario",
                "ok": code == failures.OK,
                "exit_code": code,
                "error": None if failure is None else failures.describe(failure.exception),
                "scenario": name,
                "bug": None if planted is None else planted.name,
                "verdict": found.verdict,
                "reason": found.reason,
                "schedules": found.schedules,
                "steps": found.statistics.steps,
                "seed": found.seed,
                "explanation": None if explanation is None else str(explanation),
                "places": list(named),
                "places_declared": None if planted is None else list(planted.places),
                "recording": None if failure is None or failure.path is None else str(failure.path),
                "replay_command": None if failure is None else failure.command,
                "signature": None if failure is None else failure.signature,
            }
        )
        click.get_current_context().exit(code)
    page = open_page()
    if explanation is not None:
        print_listing(page, explanation.failing, explanation.first_difference)
    if failure is not None:
        failures.print_failure(failure.exception, settings().debug)
    good = None if found.verdict == INCONCLUSIVE else not found.failed
    with_bug = "" if planted is None else f" with the bug {planted.name}"
    page.heading(f"explored {name}{with_bug}: {found.verdict}", good=good)
    facts = {"because": found.reason, "coverage": str(found.coverage), "took": str(found.statistics)}
    if failure is not None:
        if failure.shrunk is not None:
            facts["shrunk"] = str(failure.shrunk).removeprefix("shrunk ")
        if explanation is not None:
            facts["why"] = str(explanation)
        if planted is not None:
            facts["planted in"] = " and ".join(planted.places)
        facts["again"] = failure.command
    page.facts(facts)
    for remark in [*found.remarks, *(failure.remarks if failure is not None else ())]:
        page.note(remark)
    click.get_current_context().exit(code)


def places_named(found: Exploration) -> tuple[str, ...]:
    """The functions that the explanation of a failure names."""
    from detrun.explore.failures.functions import function_at

    explanation = None if found.failure is None else found.failure.explanation
    if explanation is None:
        return ()
    return tuple("" if one.line is None else function_at(one.line.file, one.line.number) for one in explanation.places)
