"""Differences of a mean loss, from plain runs: a parameter moved up and down under the same random numbers.

What derivatives are held against. Nothing of `detrun.gradient` is in it: two programs are run, on plain numbers and on
seeds that no gradient has used, and the means are subtracted, seed by seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from detrun.ad.temperature import temperature_of
from detrun_scenarios.frame.declaration import Parameter
from detrun_scenarios.frame.scenario_program import ScenarioProgram
from detrun_scenarios.frame.tuning import Problem, mean_of, plain_runs

FIRST_SEED = 3_000_000_019  # of the differences; gradients, tuning and verdicts have others


@dataclass(frozen=True, slots=True)
class Difference:
    """A derivative by differences.

    Attributes:
        changed: share of the seeds whose two sides took other steps, or took them in another order.
    """

    value: float
    std_error: float
    changed: float


def step_of(parameter: Parameter, at: float, share: float) -> float:
    """How far a parameter is moved to either side: a share of itself, and not over its bounds unless it is at one."""
    low, high = parameter.bounds
    wanted = share * (abs(at) or high - low)
    return min(wanted, *(room for room in (at - low, high - at) if room > 0.0))


def mean_difference(
    program: ScenarioProgram,
    params: Mapping[str, float],
    name: str,
    share: float,
    seeds: int,
    *,
    temperature: float = 0.0,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[Difference, int]:
    """The derivative of the mean of the program's loss by a parameter, and the steps of the runs.

    Args:
        params: all of the scenario's.
        share: of the parameter, by which it is moved.
        seeds: at least two; each has two runs.
        temperature: of `detrun.relaxed`; 0: the program as it is.
        progress: told of each seed that is done.
    """
    parameter = program.scenario.parameter(name)
    at = params[name]
    step = step_of(parameter, at, share)
    sides = max(parameter.bounds[0], at - step), min(parameter.bounds[1], at + step)
    quotients: list[float] = []
    changed = steps = 0
    with plain_runs(Problem(program, params, {})) as runs:
        for index in range(seeds):
            with temperature_of(temperature) if temperature else nullcontext():
                below, above = (runs.program.run({**params, name: one}, FIRST_SEED + index) for one in sides)
            quotients.append((above.value - below.value) / (sides[1] - sides[0]))
            changed += above.behaviour != below.behaviour
            steps += above.steps + below.steps
            progress(index + 1)
    return _difference(quotients, changed), steps


def _difference(quotients: Sequence[float], changed: int) -> Difference:
    mean = mean_of(quotients)
    return Difference(mean.value, mean.std_error, changed / len(quotients))
