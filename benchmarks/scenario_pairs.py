"""Which parameters move which losses of a scenario, whether its declaration says so or not.

Each parameter is set to a third and to three times its value, within its bounds, and each loss is held against that of
the same seeds at the default. So wide a move shows what a derivative at the default cannot, such as a margin that
decides nothing until it is large.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import click

from detrun_scenarios.frame.catalogue import find_scenario
from detrun_scenarios.frame.declaration import Loss, Scenario
from detrun_scenarios.frame.scenario_program import ScenarioProgram
from detrun_scenarios.frame.sweeps import points_around
from detrun_scenarios.frame.tuning import Mean, Problem, mean_of, plain_runs

FIRST_SEED = 5_000_000_029
ERRORS = 4.0


def moves(scenario: Scenario, loss: Loss, seeds: int) -> Iterator[tuple[str, float, float, Mean]]:
    """By parameter and end: the loss there less the loss at the default, and the latter."""
    program = ScenarioProgram(scenario, scenario.setting("medium", loss.name, None))
    params = dict(scenario.defaults)
    with plain_runs(Problem(program, params, {})) as runs:

        def losses(changed: Mapping[str, float]) -> list[float]:
            return [runs.loss({**params, **changed}, FIRST_SEED + index) for index in range(seeds)]

        here = losses({})
        middle = mean_of(here).value
        for parameter in scenario.parameters:
            around = points_around(parameter, params[parameter.name])
            for end in (around[0], around[-1]):
                moved = [there - one for there, one in zip(losses({parameter.name: end}), here, strict=True)]
                yield parameter.name, end, middle, mean_of(moved)


@click.command(help="Which parameters move which losses, beside what is declared.")
@click.option("--scenario", "name", default="consensus", show_default=True)
@click.option("--loss", "only", multiple=True, metavar="LOSS", help="Only these; may be repeated.")
@click.option("--seeds", default=16, show_default=True)
def main(name: str, only: tuple[str, ...], seeds: int) -> None:
    """Print a line for each pair that moves, or that is declared."""
    scenario = find_scenario(name)
    for loss in scenario.losses:
        if only and loss.name not in only:
            continue
        for parameter, end, middle, moved in moves(scenario, loss, seeds):
            is_declared = parameter in loss.parameters
            error = moved.std_error
            errors = abs(moved.value) / error if error else math.inf if moved.value else 0.0
            if errors < ERRORS and not is_declared:
                continue
            says = "declared" if is_declared else "NOT DECLARED"
            change = f"{moved.value / middle:+.1%} ± {error / middle:.1%}"
            click.echo(f"{loss.name} by {parameter} = {end:g}: {change}, {errors:.1f} errors, {says}")


if __name__ == "__main__":
    main()
