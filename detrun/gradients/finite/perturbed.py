"""Runs with parameters moved: the two sides of a difference, under the random numbers of one seed.

Draws are keyed by task and count, so both sides have the same ones however their schedules differ. Where a parameter
decides the order of tasks, the interleaving of the two sides may differ, too; `Pair.differs` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from detrun.gradients.sampling.program import SampledProgram

CENTRAL = "central"
FORWARD = "forward"
SIMULTANEOUS = "simultaneous"
DIFFERENCES = (CENTRAL, FORWARD, SIMULTANEOUS)


@dataclass(frozen=True, slots=True)
class Pair:
    """The loss on both sides of a step, and what the runs took.

    Attributes:
        above, below: the loss with the parameters moved up and down; in forward differences, below is where they are.
        steps: of the runs that were made for the pair, in runs of ``runs``.
        differs: whether the tasks of the two sides took other steps, or took them in another order.
    """

    above: float
    below: float
    runs: int
    steps: int
    differs: bool


@dataclass(frozen=True, slots=True)
class Base:
    """The run with the parameters as they are, as the lower side of forward differences."""

    value: float
    behaviour: int


def moved(params: Mapping[str, float], by: Mapping[str, float]) -> dict[str, float]:
    """The parameters, some of them moved."""
    return {name: number + by.get(name, 0.0) for name, number in params.items()}


def pair(program: SampledProgram, seed: int, by: Mapping[str, float], base: Base | None = None) -> Pair:
    """Both sides of a step: ``by`` up and down, or, with a base, ``by`` up from there."""
    above = program.run(moved(program.params, by), seed)
    if base is not None:
        return Pair(above.value, base.value, 1, above.steps, above.behaviour != base.behaviour)
    below = program.run(moved(program.params, {name: -step for name, step in by.items()}), seed)
    return Pair(above.value, below.value, 2, above.steps + below.steps, above.behaviour != below.behaviour)


def width(at: float, step: float, difference: str) -> float:
    """The distance between the two sides, as floats have it."""
    return (at + step) - (at if difference == FORWARD else at - step)
