"""The evaluations of one minimization: gradients on fresh seeds, losses on held-out ones, and the best so far.

Every gradient has seeds of its own. With an optimizer whose steps do not get shorter, the next one takes half as many
samples again where noise exceeds it (the norm test). The held-out seeds are the same at every look, so two looks are
compared seed by seed, which tells a gain from luck long before the means do.

Source: Byrd, Chin, Nocedal and Wu, "Sample size selection in optimization methods for machine learning", Mathematical
Programming 134 (2012), for the norm test.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, fields
from statistics import median
from typing import Any

from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun.gradients.gradient import gradient
from detrun.gradients.result import Gradient
from detrun.gradients.sampling.collector import Sampling, collect
from detrun.gradients.sampling.functionals import Functional
from detrun.gradients.sampling.program import SampledProgram
from detrun.gradients.sampling.sample import Conclusion, Estimates, Sample, means
from detrun.gradients.sampling.statistics import Estimate, estimate
from detrun.minimizing.coordinates import Coordinate, params_at
from detrun.minimizing.difference_steps import differences_at
from detrun.minimizing.evaluations import Evaluation, EvaluationLog
from detrun.minimizing.iteration import Iteration

SEEDS = 1 << 20  # of gradients, for each seed of a minimization: iterations, and the held-out ones
GROWTH = 1.5
SAMPLES_FACTOR_MAX = 8
VALIDITY_RUNS = 9
OF_SAMPLES = ("of", "samples_max", "confidence", "validity")  # options of `gradient` that these runs have no use for
BETTER = 1.0  # standard errors of a paired difference


@dataclass(slots=True)
class Losses:
    """An `Estimator` of the loss alone."""

    program: SampledProgram
    of: Functional | None = None
    kind: str = "held-out"
    uses_values: bool = False

    def sample(self, seed: int) -> Sample:
        """One run."""
        run = self.program.run(self.program.params, seed)
        return Sample(run.value, {}, 1, run.steps)

    def estimates(self, samples: Sequence[Sample]) -> Estimates:
        """Means, or another functional."""
        return means(samples, self.of)

    def concluded(self, samples: Sequence[Sample]) -> Conclusion:
        """Nothing is concluded."""
        return Conclusion("none")


@dataclass(slots=True)
class Search:
    """See the module.

    Args:
        options: keyword arguments of `detrun.gradient`.
        measures_validity: gradients say how far their runs go the same way.
        fixed_seeds: every gradient has the same seeds, so that the loss is one function.
    """

    main: Main
    coordinates: Sequence[Coordinate]
    kind: str
    seed: int
    samples: int
    held_out: int
    of: Functional | None
    options: Mapping[str, Any]
    executor: Executor | None
    workers: int
    log: EvaluationLog
    progress: Callable[[Iteration], None] | None
    measures_validity: bool = False
    fixed_seeds: bool = False
    history: list[Iteration] = field(default_factory=list)
    looks: list[Evaluation] = field(default_factory=list)
    looks_after: list[int] = field(default_factory=list)  # iterations made before each
    best: int = 0  # of looks
    runs: int = 0
    steps: int = 0
    warnings: dict[str, None] = field(default_factory=dict)
    samples_now: int = 0
    radii: Mapping[str, float] = field(default_factory=dict)  # of the last gradient

    def params_at(self, at: Sequence[float]) -> dict[str, float]:
        """The parameters at coordinates."""
        return params_at(self.coordinates, at)

    def gradient(self, at: Sequence[float], grows: bool = False) -> tuple[float, list[float]]:
        """The loss and its gradient by coordinates.

        Args:
            grows: where noise exceeds the gradient, the next one takes more samples.
        """
        params = self.params_at(at)
        count = self.samples_now = self.samples_now or self.samples
        number = 0 if self.fixed_seeds else len(self.history)
        options = self.options
        if self.kind == "finite" and "step" not in options and not self.fixed_seeds:
            params, steps = differences_at(self.coordinates, params, number)
            options = {**options, "step": steps}
        if self.kind == "finite":
            options = {**options, "bounds": {one.name: (one.low, one.high) for one in self.coordinates}}
        found = self.log.evaluate(
            "gradient", number, params, count, lambda: self._gradient(params, count, number, options)
        )
        self._count(found)
        self.radii = found.radii
        slopes = [one.slope(params[one.name]) for one in self.coordinates]
        names = [one.name for one in self.coordinates]
        gradient = [found.grads[name] * slope for name, slope in zip(names, slopes, strict=True)]
        errors = [found.std_error[name] * slope for name, slope in zip(names, slopes, strict=True)]
        if grows and math.hypot(*errors) > math.hypot(*gradient):
            self.samples_now = min(math.ceil(count * GROWTH), self.samples * SAMPLES_FACTOR_MAX)
        iteration = Iteration(
            len(self.history) + 1, params, found.value, found.value_std_error, found.grads, found.std_error, count
        )
        self.history.append(iteration)
        if self.progress is not None:
            self.progress(iteration)
        return found.value, gradient

    def _gradient(self, params: Mapping[str, float], count: int, number: int, options: Mapping[str, Any]) -> Evaluation:
        found = gradient(
            self.main,
            params,
            kind=self.kind,
            samples=count,
            seed=self.seed * SEEDS + 1 + number,
            executor=self.executor,
            workers=None if self.workers == 1 else self.workers,
            **options,
        )
        cost = found.cost
        nearby = self._nearby(params, number) if self.measures_validity else []
        radii = {name: median(one.validity[name].radius for one in nearby) for name in params} if nearby else {}
        return Evaluation(
            "gradient",
            number,
            params,
            count,
            found.value,
            found.value_std_error,
            found.samples,
            {name: float(one) for name, one in found.grads.items()},
            dict(found.std_error),
            radii=radii,
            runs=(0 if cost is None else cost.runs) + len(nearby),
            steps=(0 if cost is None else cost.steps) + sum(one.recording.steps for one in nearby),
            warnings=found.warnings,
        )

    def _nearby(self, params: Mapping[str, float], number: int) -> list[Gradient]:
        """Single runs, each with its validity."""
        options = {name: option for name, option in self.options.items() if name not in OF_SAMPLES}
        seeds = range(VALIDITY_RUNS)
        first = (self.seed * SEEDS + 1 + number) * VALIDITY_RUNS
        return [gradient(self.main, params, kind="local", seed=first + one, **options) for one in seeds]

    def look(self, at: Sequence[float]) -> Estimate:
        """The loss on the held-out seeds; how much less it is than the best before, seed by seed."""
        params = self.params_at(at)
        found = self.log.evaluate("held-out", 0, params, self.held_out, lambda: self._held_out(params))
        self._count(found)
        self.looks.append(found)
        self.looks_after.append(len(self.history))
        gain = self.gain(self.looks[self.best], found)
        if gain.mean > 0.0:
            self.best = len(self.looks) - 1
        return gain

    def gain(self, before: Evaluation, after: Evaluation) -> Estimate:
        """By how much the loss is less afterwards."""
        if self.of is None:
            return estimate([one - other for one, other in zip(before.losses, after.losses, strict=True)])
        error = math.hypot(before.value_std_error, after.value_std_error)
        return Estimate(before.value - after.value, error, before.samples - 1)

    def _held_out(self, params: Mapping[str, float]) -> Evaluation:
        names = {one.name for one in fields(Options)}
        program = SampledProgram(
            self.main,
            params,
            Options(**{name: option for name, option in self.options.items() if name in names}),
            self.options.get("strategy", "random"),
        )
        sampling = Sampling(seed=self.seed * SEEDS, samples=self.held_out, executor=self.executor, workers=self.workers)
        samples = collect(Losses(program, self.of), sampling).samples
        value = means(samples, self.of).value
        return Evaluation(
            "held-out",
            0,
            params,
            self.held_out,
            value.mean,
            value.std_error,
            len(samples),
            losses=[one.value for one in samples],
            runs=len(samples),
            steps=sum(one.steps for one in samples),
        )

    def _count(self, found: Evaluation) -> None:
        self.runs += found.runs
        self.steps += found.steps
        self.warnings.update(dict.fromkeys(found.warnings))
