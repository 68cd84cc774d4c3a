"""Rates of `detrun.minimize` for a loss of a scenario, beside each other on seeds that no verdict is given on.

A rate that is declared for a loss (`Loss.tune_options`) is chosen here: tunings by gradients alone, under seeds from
100 on, where those of tables are from 0 on, and judged on held-out seeds of their own (`CHOICE`). What a tuning is
judged on in a table has had no part in it.

    python -m benchmarks.scenario_rates --scenario physics --loss squared_miss --budget 3000 --rate 0.05 --rate 0.1
"""

from __future__ import annotations

import time

import click

from detrun_scenarios.frame.catalogue import find_scenario
from detrun_scenarios.frame.comparison import posed
from detrun_scenarios.frame.scenario_program import ScenarioProgram
from detrun_scenarios.frame.tuning import CHOICE, by_minimize, mean_of, verdicts

FIRST_SEED = 100


def judged(
    program: ScenarioProgram, budget: int, rate: float, by: tuple[str, ...], seeds: int, held_out: int
) -> tuple[list[float], list[int]]:
    """Of each tuning with this rate, the mean loss of what it proposes, and the steps that it spent."""
    problem, kind, options = posed(program, program.scenario.defaults, None, budget, by)
    proposals = [
        by_minimize(problem, budget, FIRST_SEED + number, kind=kind, **{**options, "rate": rate})
        for number in range(seeds)
    ]
    losses = verdicts(problem, [one.params for one in proposals], held_out, CHOICE)
    return [mean_of(each).value for each in losses], [one.spent for one in proposals]


@click.command(help="Rates of detrun.minimize for a loss, on seeds that no tuning is judged on.")
@click.option("--scenario", "name", required=True)
@click.option("--loss", required=True)
@click.option("--by", multiple=True, help="As of detrun scenario tune.")
@click.option("--budget", required=True, type=click.IntRange(min=1), help="Steps of each tuning.")
@click.option("--rate", "rates", multiple=True, type=float, required=True)
@click.option("--seeds", default=3, show_default=True, help="Tunings with each rate.")
@click.option("--held-out", default=40, show_default=True)
def main(
    name: str, loss: str, by: tuple[str, ...], budget: int, rates: tuple[float, ...], seeds: int, held_out: int
) -> None:
    """Tune with each rate, and print a table."""
    scenario = find_scenario(name)
    program = ScenarioProgram(scenario, scenario.setting("medium", loss=loss))
    click.echo(f"| rate | {loss}, seed by seed | mean | events |\n| --- | --- | --- | --- |")
    began = time.process_time()
    for rate in rates:
        losses, spent = judged(program, budget, rate, by, seeds, held_out)
        each = ", ".join(f"{one:.4g}" for one in losses)
        click.echo(f"| {rate:g} | {each} | {sum(losses) / seeds:.4g} | {sum(spent) / seeds:,.0f} |")
    click.echo(f"{time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    main()
