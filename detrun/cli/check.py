"""``detrun check``: tests whether a program is a function of its seed."""

from __future__ import annotations

from typing import Any

import click

from detrun.cli.options import deciding, parameter_option, speaking, surrounding, target_argument


@click.command(short_help="Run a program several times and compare.")
@target_argument
@click.option("--runs", "count", type=click.IntRange(min=2), default=2, show_default=True, help="Runs to compare.")
@click.option(
    "--fresh/--no-fresh",
    default=False,
    show_default=True,
    help="Make every run but the first in a fresh process under another hash seed.",
)
@deciding
@surrounding
@parameter_option
@speaking
def check(
    target: str,
    count: int,
    fresh: bool,
    seed: int,
    strategy: str,
    surroundings: dict[str, Any],
    params: tuple[str, ...],
) -> None:
    """Run TARGET several times with one seed and name the first step where two runs differ.

    Equal runs mean that what differed between them did not matter: what one run leaves behind in the process, or with
    --fresh the order of sets of strings and the process itself. A program that fails in the same way every time is
    deterministic.
    """
    from detrun.cli import parameters, runs
    from detrun.cli.options import settings
    from detrun.cli.page import open_page, print_document
    from detrun.cli.progress import run_progress
    from detrun.determinism.check import check_determinism
    from detrun.execution.targets import load_target

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
            **surroundings,
        )
    if settings().json:
        print_document(
            {
                "command": "check",
                "ok": True,
                "exit_code": 0,
                "error": None,
                "target": target,
                "params": numbers,
                "seed": report.seed,
                "strategy": strategy,
                "runs": report.runs,
                "fresh_process": report.fresh_process,
                "steps": report.steps,
                "virtual_time": report.virtual_time,
                "digest": report.digest,
                "ended": report.ended,
                "failed": report.failed,
            }
        )
        return
    page = open_page()
    page.heading(f"checked {target}: {report.runs} runs agree", good=True)
    facts = {
        "steps": f"{report.steps:,}",
        "virtual time": f"{report.virtual_time:.9g} s",
        "digest": report.digest,
        "every run": report.ended,
    }
    if fresh:
        facts["processes"] = "all runs but the first in fresh ones, each under another hash seed"
    page.facts(facts)
    if not fresh:
        page.note("all runs were in one process; --fresh also finds what differs between two (the order of sets)")
    if report.failed:
        page.note("the program fails, in the same way every time")
