"""A loss along one parameter, the others where they are: what a curve is drawn from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from detrun_scenarios.frame.declaration import Parameter
from detrun_scenarios.frame.scenario_program import ScenarioProgram
from detrun_scenarios.frame.tuning import Mean, Problem, mean_of, plain_runs

POINTS = 7
FACTOR = 3.0  # of the default, to either side, within the bounds


@dataclass(frozen=True, slots=True)
class Sweep:
    """One curve.

    Attributes:
        at: where the parameter was.
        losses: there, over the same seeds everywhere.
    """

    loss: str
    parameter: str
    default: float
    at: list[float]
    losses: list[Mean]
    log_scale: bool


def sweep(program: ScenarioProgram, params: Mapping[str, float], parameter: Parameter, seeds: int) -> Sweep:
    """The program's loss along a parameter."""
    loss = program.setting.loss
    assert loss is not None
    here = params[parameter.name]
    points = points_around(parameter, here)
    losses = []
    with plain_runs(Problem(program, params, {})) as runs:
        for number in points:
            losses.append(mean_of([runs.loss({**params, parameter.name: number}, seed) for seed in range(seeds)]))
    return Sweep(loss, parameter.name, here, points, losses, parameter.log_scale)


def points_around(parameter: Parameter, here: float) -> list[float]:
    """Evenly spaced, in the parameter or in its logarithm."""
    low, high = parameter.bounds
    first, last = sorted((here / FACTOR, here * FACTOR)) if here else (low, high)
    first, last = max(low, first), min(high, last)
    if parameter.log_scale:
        return [
            math.exp(math.log(first) + (math.log(last) - math.log(first)) * at / (POINTS - 1)) for at in range(POINTS)
        ]
    return [first + (last - first) * at / (POINTS - 1) for at in range(POINTS)]
