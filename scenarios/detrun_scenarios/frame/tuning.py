"""One system tuned by `detrun.minimize`, by Optuna and by CMA-ES, each with the same budget of simulated work.

A contender has its defaults, begins at the same parameters, and stays within the same bounds. What it spends is counted
in runs or in steps, those on its own held-out seeds included; an evaluation, or five iterations, that would end beyond
the budget does not count. Where not even the first five fit, two are tried, and one. Optuna (TPE, its default) proposes
its best trial, CMA-ES its mean. The verdict is the loss on seeds that none of them has seen, the same for all. A
contender that is stopped proposes what it has.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import detrun
from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun.gradients.sampling.program import SampledProgram
from detrun_scheduler.errors import UsageError

Unit = Literal["runs", "steps"]
Params = Mapping[str, float]

FRESH, VERDICT, CHOICE = 1_000_003, 2_000_000_011, 3_000_000_019  # where seeds begin
TOGETHER = 5  # iterations of `detrun.minimize` between two looks at what was spent
SCALE = 0.25  # of the bounds, for `detrun.minimize`
WIDTH = 0.5  # with which CMA-ES begins: of a logarithm, or of half the bounds


@dataclass(frozen=True, slots=True)
class Problem:
    """What is tuned.

    Attributes:
        main: a program of the parameters, whose result is the loss.
        start: where all begin.
        bounds: of each parameter.
        log_scaled: parameters whose logarithm is moved.
        unit: in which a budget counts.
        averaged: runs of one evaluation, of those that need evaluations.
    """

    main: Main
    start: Params
    bounds: Mapping[str, tuple[float, float]]
    log_scaled: Collection[str] = ()
    unit: Unit = "steps"
    averaged: int = 8

    @property
    def scales(self) -> dict[str, float]:
        """Of each parameter that moves as it is: a part of its bounds, since a default may be a small part of them."""
        return {
            name: max(abs(number), SCALE * (self.bounds[name][1] - self.bounds[name][0]))
            for name, number in self.start.items()
            if name not in self.log_scaled
        }


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """What a contender would have proposed with less.

    Attributes:
        spent: of the budget until then, in its unit.
        loss: as the contender saw it.
    """

    spent: int
    params: Params
    loss: float


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one contender proposes.

    Attributes:
        spent: of the budget, in its unit.
        way: to it, in the order of what was spent.
    """

    params: Params
    spent: int
    way: list[OnTheWay] = field(default_factory=list)


Stop = Callable[[], bool]  # whether a contender is to end where it is


def never() -> bool:
    """Contenders end with their budget."""
    return False


class _StoppedError(Exception):
    """Leaves `detrun.minimize` between two gradients."""


@dataclass(slots=True)
class PlainRuns:
    """Runs with plain numbers, counted."""

    program: SampledProgram
    unit: Unit
    spent: int = 0

    def loss(self, params: Params, seed: int) -> float:
        """Of one run."""
        run = self.program.run(params, seed)
        self.spent += 1 if self.unit == "runs" else run.steps
        return run.value


@contextmanager
def plain_runs(problem: Problem) -> Iterator[PlainRuns]:
    """Many runs with what surrounds them set up once."""
    with SampledProgram(problem.main, problem.start, Options()).prepared() as program:
        yield PlainRuns(program, problem.unit)


def by_minimize(problem: Problem, budget: int, seed: int, stop: Stop = never, *, kind: str, **options: Any) -> Proposal:
    """`detrun.minimize`, as many iterations as the budget allows; its checkpoint spares what was done before.

    Args:
        stop: asked after each gradient.
        options: for `detrun.minimize`.
    """

    def look_up(iteration: object) -> None:
        if stop():
            raise _StoppedError

    best = Proposal(problem.start, 0)
    with tempfile.TemporaryDirectory() as folder:
        iterations = first = TOGETHER
        while not stop():
            try:
                found = detrun.minimize(
                    problem.main,
                    problem.start,
                    kind=kind,
                    iterations=iterations,
                    look_every=TOGETHER * 2,
                    patience=1_000_000,
                    seed=seed,
                    bounds=problem.bounds,
                    log_scaled=list(problem.log_scaled),
                    scales=problem.scales,
                    checkpoint=Path(folder) / f"tuning-{first}",
                    progress=look_up,
                    **options,
                )
            except _StoppedError:
                break
            spent = found.runs if problem.unit == "runs" else found.steps
            if spent > budget:
                if best.spent or first == 1:
                    break
                iterations = first = first // 2  # anew: what was done beyond the budget does not count
                continue
            way = best.way or [OnTheWay(0, problem.start, found.start)]
            best = Proposal(found.params, spent, [*way, OnTheWay(spent, found.params, found.value)])
            iterations += TOGETHER
    return best


class Evaluations:
    """Mean losses over seeds that were never used before, while the budget lasts."""

    def __init__(self, problem: Problem, budget: int, seed: int, stop: Stop, runs: PlainRuns) -> None:
        self.runs = runs
        self.budget = budget
        self.stop = stop
        self.averaged = problem.averaged
        self.used = FRESH * (seed + 1)
        self.largest = 0  # that one evaluation has spent

    def are_left(self, count: int = 1) -> bool:
        """Whether as many evaluations fit into the budget, if they are no larger than those before."""
        return not self.stop() and self.runs.spent + count * self.largest <= self.budget

    def loss(self, params: Params) -> float:
        """The mean loss."""
        before = self.runs.spent
        self.used += self.averaged
        found = statistics.fmean(self.runs.loss(params, self.used + index) for index in range(self.averaged))
        self.largest = max(self.largest, self.runs.spent - before)
        return found


def by_optuna(problem: Problem, budget: int, seed: int, stop: Stop = never) -> Proposal:
    """TPE, the default sampler of Optuna; the first trial is where all begin."""
    optuna = import_module("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial(dict(problem.start))
    way: list[OnTheWay] = []
    with plain_runs(problem) as runs:
        evaluations = Evaluations(problem, budget, seed, stop, runs)
        while evaluations.are_left():
            trial = study.ask()
            params = {
                name: trial.suggest_float(name, *problem.bounds[name], log=name in problem.log_scaled)
                for name in problem.start
            }
            loss = evaluations.loss(params)
            study.tell(trial, loss)
            if not way or loss < way[-1].loss:
                way.append(OnTheWay(runs.spent, params, loss))
        return Proposal(way[-1].params if way else problem.start, runs.spent, way)


def by_cma(problem: Problem, budget: int, seed: int, stop: Stop = never) -> Proposal:
    """CMA-ES, begun where all begin; its mean at the end.

    Raises:
        UsageError: there is one parameter only, which pycma refuses.
    """
    if len(problem.start) < 2:
        raise UsageError("CMA-ES tunes two parameters or more; leave it out")
    names = list(problem.start)

    def coordinate(name: str, number: float) -> float:
        low, high = problem.bounds[name]
        return math.log(number) if name in problem.log_scaled else number / ((high - low) / 2)

    def params_at(point: Sequence[float]) -> Params:
        found = {}
        for name, at in zip(names, point, strict=True):
            low, high = problem.bounds[name]
            number = math.exp(at) if name in problem.log_scaled else float(at) * (high - low) / 2
            found[name] = min(max(number, low), high)  # a bound that went through a logarithm is not quite itself
        return found

    bounds = [[coordinate(name, problem.bounds[name][side]) for name in names] for side in (0, 1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would plot, and says what it misses for that
        cma = import_module("cma")
    search = cma.CMAEvolutionStrategy(
        [coordinate(name, problem.start[name]) for name in names],
        WIDTH,
        {"bounds": bounds, "seed": seed + 1, "verbose": -9},
    )
    proposed = problem.start
    way: list[OnTheWay] = []
    with plain_runs(problem) as runs:
        evaluations = Evaluations(problem, budget, seed, stop, runs)
        while evaluations.are_left(search.popsize):
            points = search.ask()
            losses = []
            for point in points:
                if not evaluations.are_left():
                    return Proposal(proposed, runs.spent, way)
                losses.append(evaluations.loss(params_at(point)))
            search.tell(points, losses)
            proposed = params_at(search.result.xfavorite)
            way.append(OnTheWay(runs.spent, proposed, statistics.fmean(losses)))  # the mean itself is not evaluated
    return Proposal(proposed, runs.spent, way)


BLACK_BOXES: Mapping[str, tuple[str, Callable[[Problem, int, int, Stop], Proposal]]] = {
    "optuna": ("optuna", by_optuna),
    "cma": ("cma", by_cma),
}
"""By name: the package that each needs, and how it tunes."""


def missing_packages() -> list[str]:
    """Packages of `BLACK_BOXES` that are not installed."""
    return [package for package, _ in BLACK_BOXES.values() if find_spec(package) is None]


def verdicts(problem: Problem, proposals: Sequence[Params], runs: int, first: int = VERDICT) -> list[list[float]]:
    """The losses of each proposal on the same seeds, which no contender has used.

    Args:
        first: of the seeds. What a contender is given beforehand, a rate for example, is chosen on those from `CHOICE`.
    """
    with plain_runs(problem) as plain:
        return [[plain.loss(params, first + index) for index in range(runs)] for params in proposals]


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over seeds with its standard error."""

    value: float
    std_error: float


def mean_of(losses: Sequence[float]) -> Mean:
    """Of independent losses, at least two."""
    return Mean(statistics.fmean(losses), statistics.stdev(losses) / math.sqrt(len(losses)))
