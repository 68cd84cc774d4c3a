"""Runs with parameters moved: the two sides of a difference, under the random numbers of one seed.

Draws are keyed by task and count, so both sides have the same ones however their schedules differ. Choices of a
strategy are common to both sides in two ways:

- ``"free"``: each side is a run of its own with the same seed. Its choices are drawn in sequence, so where a side takes
  a step more, all later choices are others: noise, if tasks compete for more than the parameter decides.
- ``"frozen"``: each side follows the choices of the run with the parameters as they are, while they fit, and then each
  task's own order (`detrun_recorder.what_if`). What the parameter does not reach keeps its order. Under ``random`` and
  ``fifo`` a side still has the law of a run of its own; under other strategies it may not. It takes two to four times
  the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from detrun.counterfactuals.branches import Branches
from detrun.gradients.sampling.program import OneRun, SampledProgram

CENTRAL = "central"
FORWARD = "forward"
SIMULTANEOUS = "simultaneous"
DIFFERENCES = (CENTRAL, FORWARD, SIMULTANEOUS)
FREE = "free"
FROZEN = "frozen"
SCHEDULES = (FREE, FROZEN)


class RunsOfSeed(Protocol):
    """The runs of one seed. Runs with the same `OneRun.behaviour` took the same steps in the same order."""

    def base(self) -> OneRun:
        """The run with the parameters as they are."""

    def allows(self, by: Mapping[str, float]) -> bool:
        """Whether the parameters stay within their bounds if some of them are moved so."""

    def moved(self, by: Mapping[str, float]) -> OneRun:
        """The run with some parameters moved."""


@dataclass(slots=True)
class FreeRuns:
    """Runs of their own."""

    program: SampledProgram
    seed: int

    def base(self) -> OneRun:
        """See `RunsOfSeed`."""
        return self.program.run(self.program.params, self.seed)

    def allows(self, by: Mapping[str, float]) -> bool:
        """See `RunsOfSeed`."""
        return self.program.is_within_bounds(moved(self.program.params, by))

    def moved(self, by: Mapping[str, float]) -> OneRun:
        """See `RunsOfSeed`."""
        return self.program.run(moved(self.program.params, by), self.seed)


class FrozenRuns:
    """Runs that follow the choices of the base run while they fit."""

    def __init__(self, program: SampledProgram, seed: int) -> None:
        self.program = program
        self.seed = seed
        finished, loss = program.recorded(seed)
        self._base = OneRun(loss, finished.steps, 0)
        options = program.options.of_replays()
        self.branches = Branches(program.main, (dict(program.params),), finished.recording, options)

    def base(self) -> OneRun:
        """See `RunsOfSeed`."""
        return self._base

    def allows(self, by: Mapping[str, float]) -> bool:
        """See `RunsOfSeed`."""
        return self.program.is_within_bounds(moved(self.program.params, by))

    def moved(self, by: Mapping[str, float]) -> OneRun:
        """See `RunsOfSeed`."""
        params = moved(self.program.params, by)
        try:
            branch = self.branches.run({}, params)
        except Exception as error:
            error.add_note(f"in the run with seed {self.seed}, replayed with {params} on its recorded schedule")
            raise
        return OneRun(branch.loss, branch.steps, 0 if branch.first_difference is None else int(branch.digest, 16))


def runs_of(program: SampledProgram, seed: int, schedule: str) -> RunsOfSeed:
    """The runs of one seed; ``schedule`` is one of `SCHEDULES`."""
    return FrozenRuns(program, seed) if schedule == FROZEN else FreeRuns(program, seed)


@dataclass(frozen=True, slots=True)
class Pair:
    """The loss on both sides of a step, and what the runs took.

    Attributes:
        above, below: the loss with the parameters moved up and down; in forward differences, below is where they are.
        steps: of the runs that were made for the pair, ``runs`` of them.
        differs: whether the tasks of the two sides took other steps, or took them in another order.
    """

    above: float
    below: float
    runs: int
    steps: int
    differs: bool


def moved(params: Mapping[str, float], by: Mapping[str, float]) -> dict[str, float]:
    """The parameters, some of them moved."""
    return {name: number + by.get(name, 0.0) for name, number in params.items()}


def pair(runs: RunsOfSeed, by: Mapping[str, float], base: OneRun | None = None) -> Pair:
    """Both sides of a step: ``by`` up and down, or, with a base, ``by`` up from there."""
    above = runs.moved(by)
    if base is not None:
        return Pair(above.value, base.value, 1, above.steps, above.behaviour != base.behaviour)
    below = runs.moved({name: -step for name, step in by.items()})
    return Pair(above.value, below.value, 2, above.steps + below.steps, above.behaviour != below.behaviour)


def pair_farther(runs: RunsOfSeed, by: Mapping[str, float], base: OneRun | None = None) -> Pair | None:
    """As `pair`, for a step wider than the gradient's own, which only helps to judge that one.

    None where a parameter would leave its bounds, or the program fails so far out: a probability above 1, say, that the
    gradient itself does not need.
    """
    if not runs.allows(by) or (base is None and not runs.allows({name: -step for name, step in by.items()})):
        return None
    try:
        return pair(runs, by, base)
    except Exception:
        return None


def width(at: float, step: float, difference: str) -> float:
    """The distance between the two sides, as floats have it."""
    return (at + step) - (at if difference == FORWARD else at - step)
