"""``detrun scenario tune``: a loss made small from the defaults on, beside Optuna and CMA-ES at equal events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from detrun.cli.options import parameter_option, settings, speaking
from detrun_scenarios.commands.choosing import bug_option, loss_of, loss_option, name_argument, params_of, size_option

if TYPE_CHECKING:
    from detrun_scenarios.frame.comparison import Tuning
    from detrun_scenarios.frame.declaration import Loss

BUDGET = 1_000_000


@click.command(short_help="Tune a loss of a system, beside Optuna and CMA-ES at equal simulated events.")
@name_argument
@loss_option
@click.option("--kind", metavar="KIND", help="Meaning of the gradients that are followed.")
@click.option("--by", multiple=True, metavar="PARAM", help="Only this parameter; may be repeated.")
@bug_option
@size_option("medium")
@click.option(
    "--budget",
    type=click.IntRange(min=1),
    default=BUDGET,
    show_default=True,
    metavar="EVENTS",
    help="Steps that each contender may simulate.",
)
@click.option(
    "--held-out",
    type=click.IntRange(min=2),
    default=50,
    show_default=True,
    metavar="N",
    help="Seeds of the verdict, which no contender has seen.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides everything random.")
@click.option("--png", metavar="FILE", type=click.Path(), help="Draw the loss over the events that were spent.")
@click.option("--html", metavar="FILE", type=click.Path(), help="Write the same as an HTML page that needs no network.")
@parameter_option
@speaking
def tune(
    name: str,
    loss: str | None,
    kind: str | None,
    by: tuple[str, ...],
    bug: str | None,
    size: Any,
    budget: int,
    held_out: int,
    seed: int,
    png: str | None,
    html: str | None,
    params: tuple[str, ...],
) -> None:
    """Tune the parameters of the scenario NAME that move a loss, from their defaults.

    detrun.minimize follows gradients; Optuna (TPE) and CMA-ES see the loss alone. Each simulates the same number of
    events, and all are judged on the same held-out seeds. Ctrl-C ends with what there is, a second one at once. Needs
    the extra detrun[scenarios].
    """
    from detrun.cli import runs
    from detrun.cli.report import check_page
    from detrun.minimizing.picture import check_picture
    from detrun.pages.page import write_page
    from detrun_scenarios.frame.catalogue import find_scenario
    from detrun_scenarios.frame.comparison import tune as compared
    from detrun_scenarios.frame.derivatives import kind_named
    from detrun_scenarios.frame.pictures import draw_tuning
    from detrun_scenarios.frame.scenario_program import EXTRA, ScenarioProgram
    from detrun_scenarios.frame.tuning import missing_packages
    from detrun_scenarios.frame.tuning_page import tuning_page
    from detrun_scheduler.errors import UsageError

    scenario = find_scenario(name)
    numbers = params_of(scenario, params)
    wanted = loss_of(scenario, loss)
    followed = kind_named(kind)
    program = ScenarioProgram(scenario, scenario.setting(size, wanted.name, bug))
    if missing := missing_packages():
        raise UsageError(
            f"tuning compares with {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not "
            f"installed; install with: pip install '{EXTRA}'"
        )
    if png is not None:
        check_picture(png)
    if html is not None:
        check_page(html, "--html")
    begun = time.monotonic()

    def say(who: str) -> None:
        if not settings().json:
            click.echo(f"{time.monotonic() - begun:7.1f} s  {who}", err=True)

    with runs.program_output():
        found = compared(program, numbers, followed, budget, seed, held_out, say, by)
    if png is not None:
        draw_tuning(found, wanted, png)
    if html is not None:
        with runs.writing(html):
            write_page(html, tuning_page(name, found, wanted))
    if settings().json:
        from detrun.cli.page import print_document

        document = {"command": "scenario", "ok": True, "exit_code": 0, "error": None, "scenario": name}
        asked = {"size": size, "seed": seed, "budget": budget}
        print_document({**document, **asked, **_fields(found), "png": png, "html": html})
        return
    _show(name, found, wanted, budget, png, html)


def _show(name: str, found: Tuning, loss: Loss, budget: int, png: str | None, html: str | None) -> None:
    from detrun.cli.page import open_page
    from detrun_scenarios.frame.tuning_page import HEAD, again_of, notes_of, rows_of

    page = open_page()
    page.heading(f"tuned {loss.name} of {name} by {found.kind} gradients", good=True)
    page.facts(
        {
            "budget": f"{budget:,} steps for each",
            "verdict": f"{loss.about}, {loss.unit}, on {len(found.held_out_seeds)} held-out seeds",
            "again": again_of(found),
            **({} if png is None else {"picture": png}),
            **({} if html is None else {"page": html}),
        }
    )
    page.table([*HEAD, *found.start], rows_of(found))
    for note in notes_of(found):
        page.note(note)


def _fields(found: Tuning) -> dict[str, Any]:
    return {
        "loss": found.loss,
        "kind": found.kind,
        "default": found.default.value,
        "tuned": found.tuned.held_out.value,
        "black_box": {name: one.held_out.value for name, one in found.black_box.items()},
        "standard_errors": {
            "default": found.default.std_error,
            "tuned": found.tuned.held_out.std_error,
            **{name: one.held_out.std_error for name, one in found.black_box.items()},
        },
        "gains": {
            name: {"mean": one.gain.value, "std_error": one.gain.std_error}
            for name, one in {"tuned": found.tuned, **found.black_box}.items()
        },
        "events_used": {
            "tuned": found.tuned.proposal.spent,
            **{name: one.proposal.spent for name, one in found.black_box.items()},
        },
        "params": dict(found.tuned.proposal.params),
        "default_params": dict(found.start),
        "black_box_params": {name: dict(one.proposal.params) for name, one in found.black_box.items()},
        "ways": {
            name: [[at.spent, at.loss, dict(at.params)] for at in one.proposal.way]
            for name, one in {"tuned": found.tuned, **found.black_box}.items()
        },
        "left_out": found.left_out,
        "held_out_seeds": found.held_out_seeds,
        "interrupted": found.interrupted,
    }
