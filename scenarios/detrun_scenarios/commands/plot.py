"""``detrun scenario plot``: a picture of a system, the scenario's own or the default one."""

from __future__ import annotations

from typing import Any

import click

from detrun.cli.options import parameter_option, settings, speaking
from detrun_scenarios.commands.choosing import bug_option, loss_of, loss_option, name_argument, params_of, size_option


@click.command(short_help="Draw a run of a system, and a loss along its parameters.")
@name_argument
@loss_option
@bug_option
@size_option("medium")
@click.option("-o", "--output", metavar="FILE", type=click.Path(), help="The picture; NAME.png by default.")
@click.option("--seeds", type=click.IntRange(min=2), default=4, show_default=True, help="Of each point of a curve.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the run.")
@parameter_option
@speaking
def plot(
    name: str,
    loss: str | None,
    bug: str | None,
    size: Any,
    output: str | None,
    seeds: int,
    seed: int,
    params: tuple[str, ...],
) -> None:
    """Draw the scenario NAME as PNG: its own picture, or who ran when and a loss along each parameter.

    Needs matplotlib, of the extra detrun[scenarios].
    """
    import detrun
    from detrun.cli import runs
    from detrun.cli.page import open_page, print_document
    from detrun.cli.progress import run_progress
    from detrun.minimizing.picture import check_picture
    from detrun_scenarios.frame.catalogue import find_scenario
    from detrun_scenarios.frame.pictures import draw_run
    from detrun_scenarios.frame.scenario_program import ScenarioProgram
    from detrun_scenarios.frame.sweeps import sweep
    from detrun_scenarios.frame.timeline import timeline_of

    scenario = find_scenario(name)
    numbers = params_of(scenario, params)
    path = f"{name}.png" if output is None else output
    check_picture(path)
    planted = None if bug is None else scenario.bug(bug).name
    wanted = loss_of(scenario, loss) if loss is not None or scenario.losses else None
    with runs.program_output():
        if scenario.draw is not None and loss is None and bug is None:
            scenario.draw(path, numbers, seed)
        else:
            with run_progress("running"):
                run = detrun.record(
                    ScenarioProgram(scenario, scenario.setting(size, bug=planted)),
                    numbers,
                    seed=seed,
                    raise_errors=bug is None,
                )
            curves = []
            if wanted is not None:
                program = ScenarioProgram(scenario, scenario.setting(size, wanted.name))
                curves = [sweep(program, numbers, scenario.parameter(one), seeds) for one in wanted.parameters]
            draw_run(name, timeline_of(run.recording), curves, path)
    if settings().json:
        document = {"command": "scenario", "ok": True, "exit_code": 0, "error": None, "scenario": name}
        print_document({**document, "seed": seed, "params": numbers, "picture": path})
        return
    page = open_page()
    page.heading(f"drew {name}", good=True)
    page.facts({"picture": path})
