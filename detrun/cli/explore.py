"""``detrun explore``: run a program under many schedules, and report the first that fails."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from detrun.cli.options import (
    acting_options,
    backend_options,
    parameter_option,
    speaking,
    step_timeout_option,
    target_argument,
)
from detrun_scheduler.strategies import STRATEGIES
from detrun_scheduler.visible import visible

if TYPE_CHECKING:
    from detrun.execution.options import Options
    from detrun.execution.targets import Target


@click.command(short_help="Run a program under many schedules and explain the first that fails.")
@target_argument
@click.option(
    "-n",
    "--schedules",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Maximum number of schedules.",
)
@click.option(
    "--strategy",
    default="portfolio",
    show_default=True,
    metavar="NAME",
    shell_complete=lambda context, parameter, typed: [name for name in STRATEGIES if name.startswith(typed)],
    help=f"Strategy that chooses among runnable tasks: {', '.join(STRATEGIES)}; pct:N sets a depth, bounded:N a bound.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides every random choice.")
@click.option(
    "--max-steps",
    type=click.IntRange(min=1),
    default=20_000,
    show_default=True,
    metavar="N",
    help="A schedule that takes more steps fails; finds livelocks.",
)
@click.option(
    "--preemption",
    type=click.Choice(["auto", "sync", "line", "opcode"]),
    default="auto",
    show_default=True,
    help="Points where threads can be interrupted: synchronization, lines or opcodes; auto mixes them.",
)
@click.option("--include", multiple=True, metavar="PATTERN", help="Code to interrupt; TARGET's project by default.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Code not to interrupt.")
@click.option(
    "--races", is_flag=True, help="A schedule with a data race fails, too, even if the race did no harm in it."
)
@click.option(
    "--no-thread-errors",
    is_flag=True,
    help="Print an exception that leaves a thread, as in life; the schedule goes on.",
)
@acting_options
@backend_options
@click.option("--keep-going", is_flag=True, help="Run all schedules and report every kind of failure.")
@click.option(
    "--ignore",
    multiple=True,
    metavar="SIGNATURE",
    help="A kind of failure to pass over, as reports spell it, or a shell pattern. May be repeated.",
)
@click.option("--time-limit", type=float, metavar="SECONDS", help="Stop beginning schedules after so long.")
@step_timeout_option
@click.option(
    "-j",
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of processes; the result does not depend on it.",
)
@click.option("--no-shrink", is_flag=True, help="Report the failing schedule as it was found.")
@click.option("--no-explain", is_flag=True, help="Do not look for the operations whose order matters.")
@click.option("--no-confirm", is_flag=True, help="Do not replay the recording in a fresh process.")
@click.option(
    "--directory",
    default=".detrun",
    show_default=True,
    type=click.Path(file_okay=False),
    help="Directory of failing schedules, which are tried first next time.",
)
@click.option("--resume", is_flag=True, help="Continue this exploration from where it last stopped.")
@click.option("--gradient", is_flag=True, help="Show every schedule with its value and its gradient.")
@click.option(
    "--html", metavar="FILE", type=click.Path(), help="Write why it failed as an HTML file that needs no network."
)
@click.option("--token", metavar="TOKEN", help="Run only the schedule that a token spells, and list it.")
@parameter_option
@speaking
def explore(
    target: str,
    schedules: int,
    strategy: str,
    seed: int,
    max_steps: int,
    preemption: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    races: bool,
    no_thread_errors: bool,
    early_timers: int | None,
    collections: int | None,
    backend: str,
    asyncio_order: str | None,
    keep_going: bool,
    ignore: tuple[str, ...],
    time_limit: float | None,
    step_timeout: float,
    workers: int,
    no_shrink: bool,
    no_explain: bool,
    no_confirm: bool,
    directory: str,
    resume: bool,
    gradient: bool,
    html: str | None,
    token: str | None,
    params: tuple[str, ...],
) -> None:
    """Run TARGET under many schedules until one fails, or all of them with --keep-going.

    The first failure is shrunk, explained, recorded in a file, and listed step by step. Strategies that enumerate
    (bounded, dfs, dpor) can conclude that no schedule within their bound fails.
    """
    import detrun
    from detrun.cli import parameters, runs
    from detrun.cli.exploration_page import conclude
    from detrun.cli.report import check_page
    from detrun.execution.options import Options
    from detrun.execution.targets import load_target
    from detrun.explore.campaign.progress import campaign_progress
    from detrun.explore.explorer import AUTO, FailuresNotKeptWarning
    from detrun.explore.failures.kept import KeptFailures
    from detrun_scheduler.errors import UsageError

    given = parameters.parse(params)
    program = load_target(target)
    numbers = parameters.for_call(program, given)
    arguments: tuple[object, ...] = (numbers,) if numbers else ()
    if token is not None:
        options = Options(
            max_steps=max_steps,
            preemption=None if preemption == AUTO else preemption,
            include=include,
            exclude=exclude,
            thread_errors=not no_thread_errors,
            backend=backend,
            asyncio_order=asyncio_order,
        )
        _one(program, arguments, token, options)
        return
    if html is not None:
        check_page(html, "--html")
    if gradient and not numbers:
        raise UsageError(f"{target} takes no parameters, so there is nothing to differentiate with respect to")
    if not_kept := KeptFailures(Path(directory)).unwritable:
        click.echo(f"note: {visible(str(not_kept))}; choose another with --directory", err=True)
    with runs.program_output(), campaign_progress(schedules) as progress, warnings.catch_warnings():
        warnings.simplefilter("ignore", FailuresNotKeptWarning)
        found = detrun.explore(
            program.function,
            *(() if gradient else arguments),
            strategy=strategy,
            schedules=schedules,
            seed=seed,
            max_steps=max_steps,
            preemption=preemption,
            include=include,
            exclude=exclude,
            races=races,
            thread_errors=not no_thread_errors,
            early_timers=early_timers,
            collections=collections,
            backend=backend,
            asyncio_order=asyncio_order,
            keep_going=keep_going,
            ignore=ignore,
            time_limit=time_limit,
            step_timeout=step_timeout,
            workers=workers,
            shrink=not no_shrink,
            explain=not no_explain,
            confirm=not no_confirm,
            gradient_of=numbers if gradient else None,
            directory=directory,
            resume=resume,
            target=target,
            progress=progress,
        )
    conclude(found, target, html)


def _one(program: Target, arguments: tuple[object, ...], token: str, options: Options) -> None:
    """Run one schedule and list it."""
    import detrun
    from detrun.cli import runs
    from detrun.cli.listing import print_listing
    from detrun.cli.options import settings
    from detrun.cli.page import open_page
    from detrun.explore.campaign import observed as observed
    from detrun.explore.campaign.program import Program
    from detrun.explore.failures.narration import narrate
    from detrun_recorder.token import from_token
    from detrun_scheduler.strategies.given import GivenSchedule

    spelled = from_token(token)
    options = options.with_token(spelled)
    if options.max_steps is not None:
        options = replace(options, max_steps=max(options.max_steps, spelled.steps + 1))
    with runs.program_output():
        run = detrun.record(
            program.function,
            *arguments,
            seed=spelled.seed,
            strategy=GivenSchedule(spelled.choices),
            max_steps=options.max_steps,
            preemption=options.preemption if isinstance(options.preemption, str) else None,
            include=options.include,
            exclude=options.exclude,
            thread_errors=bool(options.thread_errors),
            backend=options.backend,
            asyncio_order=options.asyncio_order,
            raise_errors=False,
            target=program.text,
        )
        explored = Program(program.function, arguments, options)
        narration = narrate(explored, spelled.seed, spelled.choices)
    if not settings().json:
        print_listing(open_page(), narration)
    document = {"target": program.text, "token": token, **runs.run_fields(run)}
    runs.conclude("explore", run, document, runs.run_facts(run), f"ran one schedule of {program.text}", [])
