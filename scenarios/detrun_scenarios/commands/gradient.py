"""``detrun scenario gradient``: derivatives of a loss by each parameter, with finite differences beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from detrun.cli.options import parameter_option, settings, speaking
from detrun_scenarios.commands.choosing import bug_option, loss_option, name_argument, params_of, size_option

if TYPE_CHECKING:
    from detrun_scenarios.frame.derivatives import LossGradient


@click.command(short_help="Differentiate a loss of a system, with finite differences beside it.")
@name_argument
@loss_option
@click.option("--kind", metavar="KIND", help="Meaning of all derivatives, in place of what the scenario declares.")
@bug_option
@size_option("medium")
@click.option("--samples", type=click.IntRange(min=2), metavar="N", help="Seeds of each gradient.")
@click.option(
    "--differences",
    type=click.IntRange(min=2),
    metavar="N",
    help="Seeds of each difference of the mean. Default: as many as samples, and none for kind local.",
)
@click.option("--by", multiple=True, metavar="PARAM", help="Only by this parameter; may be repeated.")
@click.option(
    "--share",
    type=click.FloatRange(min=0.0, min_open=True, max=1.0),
    metavar="SHARE",
    help="Differences move each parameter by this share of itself, in place of what is declared.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides the samples.")
@click.option("--html", metavar="FILE", type=click.Path(), help="Write it as an HTML page that needs no network.")
@parameter_option
@speaking
def gradient(
    name: str,
    loss: str | None,
    kind: str | None,
    bug: str | None,
    size: Any,
    samples: int | None,
    differences: int | None,
    by: tuple[str, ...],
    share: float | None,
    seed: int,
    html: str | None,
    params: tuple[str, ...],
) -> None:
    """Differentiate a loss of the scenario NAME by each parameter that moves it.

    The kind of each derivative is the one that the scenario declares for the parameter. The column beside it is a
    finite difference: on frozen schedules for kind local, otherwise of the mean, from other runs under common random
    numbers. A few runs of kind local have frozen differences; with --differences that of the mean stands there, too.
    """
    from detrun.cli import runs
    from detrun.cli.page import open_page, print_document
    from detrun.cli.progress import drawn_progress, sampling_progress
    from detrun.cli.report import check_page
    from detrun.pages.page import write_page
    from detrun_scenarios.commands.choosing import loss_of
    from detrun_scenarios.frame.catalogue import find_scenario
    from detrun_scenarios.frame.derivatives import Effort, differentiate, kind_named
    from detrun_scenarios.frame.gradient_page import gradient_page, table_of
    from detrun_scenarios.frame.scenario_program import ScenarioProgram

    scenario = find_scenario(name)
    numbers = params_of(scenario, params)
    wanted = loss_of(scenario, loss)
    chosen = kind_named(kind)
    program = ScenarioProgram(scenario, scenario.setting(size, wanted.name, bug))
    if html is not None:
        check_page(html, "--html")
    with runs.program_output(), sampling_progress() as sampled, drawn_progress("differences") as differenced:
        effort = Effort(
            by=by,
            samples=samples,
            differences=differences,
            share=share,
            seed=seed,
            sampled=sampled,
            differenced=differenced,
        )
        found = differentiate(program, numbers, chosen, effort)
    if html is not None:
        with runs.writing(html):
            write_page(html, gradient_page(name, found, wanted, numbers))
    if settings().json:
        document = {"command": "scenario", "ok": True, "exit_code": 0, "error": None, "scenario": name}
        print_document({**document, **_fields(found, numbers), "html": html})
        return
    page = open_page()
    page.heading(f"gradient of {wanted.name} of {name}", good=True)
    page.facts(
        {
            wanted.name: f"{found.value:.6g} ± {found.std_error:.2g} {wanted.unit}",
            "took": f"{found.steps:,} steps",
            **({} if html is None else {"page": html}),
        }
    )
    page.table(*table_of(found, numbers))
    for one in found.derivatives:
        if one.why:
            page.text(f"{one.parameter}: {one.kind}, since {one.why}")
    for text in [*found.bias, *found.warnings]:
        page.note(text)


def _fields(found: LossGradient, params: dict[str, float]) -> dict[str, Any]:
    return {
        "loss": found.loss,
        "value": found.value,
        "std_error": found.std_error,
        "params": params,
        "gradient": {
            one.parameter: {
                "kind": one.kind,
                "derivative": one.derivative,
                "std_error": one.std_error,
                "finite_difference": one.difference.value,
                "finite_std_error": one.difference.std_error,
                "frozen_derivative": None if one.frozen is None else one.frozen.derivative,
                "apart": one.apart,
                "agrees": one.agrees,
                "rescheduled": one.difference.changed,
                "mean_difference": None if one.of_mean is None else one.of_mean.value,
                "mean_std_error": None if one.of_mean is None else one.of_mean.std_error,
                "why": one.why,
            }
            for one in found.derivatives
        },
        "bias": found.bias,
        "warnings": found.warnings,
        "steps": found.steps,
    }
