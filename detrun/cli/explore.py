"""``detrun explore``: run a program under many schedules, and report the first that fails."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from detrun.explore.failures.failure import Failure
    from detrun.explore.verdicts import Exploration


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
    _conclude(found, target, html)


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


def _conclude(found: Exploration, target: str, html: str | None) -> None:
    """Print the result and end the command with its exit code."""
    from detrun.cli import failures
    from detrun.cli.listing import print_listing
    from detrun.cli.options import settings
    from detrun.cli.page import open_page, print_document
    from detrun.explore.verdicts import INCONCLUSIVE

    failure = found.failure
    code = failures.OK
    if failure is not None:
        code = failures.exit_code(failure.exception)
    elif found.verdict == INCONCLUSIVE:
        code = failures.INTERRUPTED if found.interrupted else failures.UNDECIDED
    report = _reported(found, html)
    if settings().json:
        print_document({**_document(found, target, code), "report": report})
        click.get_current_context().exit(code)
    page = open_page()
    if failure is not None and failure.explanation is not None:
        print_listing(page, failure.explanation.failing, failure.explanation.first_difference)
    if failure is not None:
        failures.print_failure(failure.exception, settings().debug)
    good = None if found.verdict == INCONCLUSIVE else not found.failed
    page.heading(f"explored {target}: {found.verdict}", good=good)
    page.facts(_facts(found))
    if len(found.failures) > 1:
        page.table(*_kinds(found))
    if found.table is not None:
        page.table(*found.table.cells())
    for remark in _remarks(found):
        page.note(remark)
    if report is not None:
        page.note(f"wrote {report}; open it in a browser")
    click.get_current_context().exit(code)


def _reported(found: Exploration, html: str | None) -> str | None:
    """Where the report is, if one was asked for and there is a failure."""
    from detrun.cli import runs

    if html is None or found.failure is None:
        return None
    try:
        with runs.program_output():
            return str(found.report(html))
    except OSError as error:
        raise runs.unwritable(html, error) from error


def _kinds(found: Exploration) -> tuple[list[str], list[list[str]], str]:
    rows = [
        [f"{one.count:,}", "kept" if one.index < 0 else f"{one.index:,}", one.signature, one.command]
        for one in found.failures
    ]
    return ["schedules", "first", "signature", "again"], rows, f"{len(rows)} kinds of failure"


def _remarks(found: Exploration) -> list[str]:
    return [*found.remarks, *(remark for failure in found.failures for remark in failure.remarks)]


def _facts(found: Exploration) -> dict[str, str]:
    statistics = found.statistics
    rate = f", {found.schedules / statistics.seconds:,.0f} schedules/s" if statistics.seconds > 0.05 else ""
    facts = {"because": found.reason, "coverage": str(found.coverage), "took": f"{statistics}{rate}"}
    failure = found.failure
    for line in found.watched():
        name, _, said = line.partition(": ")
        facts[{"threads interrupted at": "watched"}.get(name, name)] = said
    if failure is not None:
        if failure.shrunk is not None:
            facts["shrunk"] = str(failure.shrunk).removeprefix("shrunk ")
        if failure.explanation is not None:
            facts["why"] = str(failure.explanation)
        if failure.in_stock_order:
            facts["asyncio"] = failure.in_stock_order
        no_file = failure.path is None and failure.token is not None
        facts["signature"] = failure.signature
        facts["again"] = f"detrun replay {failure.token}" if no_file else failure.command
        if failure.token is not None:
            facts["token"] = failure.token
    return facts


def _document(found: Exploration, target: str, code: int) -> dict[str, Any]:
    from detrun.cli import failures

    statistics = found.statistics
    table = found.table
    return {
        "command": "explore",
        "ok": code == failures.OK,
        "exit_code": code,
        "error": None if found.failure is None else failures.describe(found.failure.exception),
        "target": target,
        "strategy": found.strategy,
        "seed": found.seed,
        "verdict": found.verdict,
        "reason": found.reason,
        "schedules": found.schedules,
        "behaviours": found.coverage.distinct,
        "operation_orders": len(found.coverage.operations),
        "unseen": found.coverage.unseen,
        "watched": [
            {"preemption": kind, "include": list(include), "schedules": place.schedules, "files": sorted(place.files)}
            for (kind, include), place in found.interrupted_at.places.items()
        ],
        "warnings": [found.interrupted_at.unmet] if found.interrupted_at.unmet else [],
        "steps": statistics.steps,
        "redundant": statistics.redundant,
        "seconds": statistics.seconds,
        "remarks": _remarks(found),
        "failure": None if found.failure is None else _failure(found.failure),
        "failures": [
            {**_failure(one), "signature": one.signature, "count": one.count, "error": failures.describe(one.exception)}
            for one in found.failures
        ],
        "ignored": found.ignored,
        "table": None
        if table is None
        else {
            "value": table.value,
            "grads": table.grads,
            "std_error": table.std_error,
            "complete": table.complete,
            "rows": [
                {"order": list(row.order), "times": row.times, "value": row.value, "grads": row.grads}
                for row in table.rows
            ],
        },
    }


def _failure(failure: Failure) -> dict[str, Any]:
    explanation = failure.explanation
    pair = explanation.pair if explanation is not None else None
    return {
        "schedule": failure.index,
        "recording": None if failure.path is None else str(failure.path),
        "token": failure.token,
        "replay_command": failure.command,
        "preemptions": None if failure.shrunk is None else failure.shrunk.after[0],
        "faults": None if failure.shrunk is None else list(failure.shrunk.faults),
        "explanation": None if explanation is None else str(explanation),
        "asyncio": failure.in_stock_order or None,
        "pair": None
        if pair is None
        else [
            {"task": one.task, "line": None if one.line is None else str(one.line), "does": one.verb} for one in pair
        ],
    }
