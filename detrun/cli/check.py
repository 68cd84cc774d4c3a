"""``detrun check``: is the program a function of its seed?"""

from __future__ import annotations

import click

from detrun.cli.options import deciding, parameter_option, speaking, target_argument


@click.command(short_help="Run a program several times and compare.")
@target_argument
@click.option("--runs", "count", type=click.IntRange(min=2), default=2, show_default=True, help="Runs to compare.")
@click.option(
    "--fresh/--no-fresh",
    default=False,
    show_default=True,
    help="Also run in a new process with another hash seed.",
)
@deciding
@parameter_option
@speaking
def check(
    target: str,
    count: int,
    fresh: bool,
    seed: int,
    strategy: str,
    max_steps: int | None,
    params: tuple[str, ...],
) -> None:
    """Run TARGET several times with one seed and name the first step where two runs differ.

    Equal runs mean that everything the program read was controlled, for this seed. With --fresh the order of sets and
    the state that a process gathers are put to the test, too.
    """
    from detrun.cli import parameters, runs
    from detrun.cli.options import settings
    from detrun.cli.page import open_page, print_document
    from detrun.cli.progress import run_progress
    from detrun.determinism import check_determinism
    from detrun.targets import load_target

    given = parameters.parse(params)
    program = load_target(target)
    numbers = parameters.for_call(program, given)
    with runs.program_output(), run_progress("checking"):
        report = check_determinism(
            program.function,
            *([numbers] if numbers else []),
            seed=seed,
            runs=count,
            fresh_process=fresh,
            strategy=strategy,
        )
    print(report, settings, open_page, print_document)
