"""Derivatives of a loss by each parameter, each of the kind that its declaration gives, beside a finite difference.

A ``local`` gradient is the derivative on frozen schedules. It is held against central differences of the same runs that
keep their schedules (`kind="finite", schedule="frozen"`), with a step so small that almost none changes it: they agree
to rounding. Where one does, a smaller step is tried. Whether it is the derivative of the mean is another question,
which a second difference answers.

The other kinds are derivatives of the mean. They are held against differences of other, plain runs under common random
numbers (`differences`), and agree within the noise of both. Those of kind ``relaxed`` are runs at the same temperature.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import detrun
from detrun.gradients.sampling.collector import SoFar
from detrun_scenarios.frame.declaration import KINDS, SHARE, Kind, Loss, Meaning
from detrun_scenarios.frame.differences import Difference, mean_difference, step_of
from detrun_scenarios.frame.names import named
from detrun_scenarios.frame.scenario_program import ScenarioProgram
from detrun_scheduler.errors import UsageError

FROZEN_STEP = (1e-6, 1e-5)  # of a parameter, at least and at most: a wider one takes other steps
FROZEN_TRIES = 3  # where thousands of steps lie within a second, two may be closer than the first step
FROZEN_FINER = 0.01  # is each step than the one before
FROZEN_CHANGE = 1e-7  # of the loss, if the step allows: truncation goes with its square, rounding with 1e-16 over it
FROZEN_ERROR_MAX = 1e-6  # relative
FROZEN_SAMPLES = 4
ROUNDING = 2e-16  # of times near a second, of which losses are differences
STANDARD_ERRORS_MAX = 4.0
SAMPLES = {"local": 4}  # of a gradient, unless its meaning says so
SAMPLES_OF_MEANS = 100
TEMPERATURE = 0.25  # of kind relaxed, where a loss declares none


@dataclass(frozen=True, slots=True)
class Frozen:
    """Runs that keep their schedules.

    Attributes:
        derivative: the mean of their local gradients.
        difference: of the same runs.
        rounding: what the difference cannot tell.
        runs: how many.
    """

    derivative: float
    difference: Difference
    rounding: float
    runs: int

    @property
    def apart(self) -> float:
        """How far the two are apart beyond rounding, relative to the larger."""
        largest = max(abs(self.derivative), abs(self.difference.value))
        distance = max(abs(self.derivative - self.difference.value) - self.rounding, 0.0)
        return distance / largest if largest else 0.0


@dataclass(frozen=True, slots=True)
class Derivative:
    """One number and its checks.

    Attributes:
        kind: that gave ``derivative``.
        frozen: some of the runs held against frozen differences, of kind local.
        of_mean: the difference of the mean; None if it was not asked for.
        why: what the declaration says for this kind; empty for a kind that it does not give this parameter.
    """

    parameter: str
    kind: Kind
    derivative: float
    std_error: float
    frozen: Frozen | None = None
    of_mean: Difference | None = None
    why: str = ""

    @property
    def difference(self) -> Difference:
        """The one that must agree: frozen for kind local, else of the mean."""
        found = self.of_mean if self.frozen is None else self.frozen.difference
        assert found is not None
        return found

    @property
    def apart(self) -> float:
        """How far the two are apart: relative to the larger for ``local``, else in standard errors of both."""
        return self.errors_apart if self.frozen is None else self.frozen.apart

    @property
    def errors_apart(self) -> float:
        """How many standard errors of both the derivative is away from the difference of the mean."""
        assert self.of_mean is not None
        distance = abs(self.derivative - self.of_mean.value)
        error = math.hypot(self.std_error, self.of_mean.std_error)
        return distance / error if error else (0.0 if distance == 0.0 else math.inf)

    @property
    def agrees(self) -> bool:
        """Whether the two say the same. Where a side of a frozen difference left the schedule there is no saying so."""
        return self.apart <= (STANDARD_ERRORS_MAX if self.frozen is None else FROZEN_ERROR_MAX)


@dataclass(frozen=True, slots=True)
class LossGradient:
    """A loss at some parameters, and its derivatives.

    Attributes:
        bias: of each kind, what it leaves out.
        warnings: what a reader should know before using the numbers.
        steps: of all runs, those of the differences included.
    """

    loss: str
    value: float
    std_error: float
    derivatives: list[Derivative]
    bias: list[str]
    warnings: list[str]
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is taken, and who is told.

    Attributes:
        by: parameters that are wanted; empty for all that move the loss.
        samples: of each gradient; None for what is declared.
        differences: seeds of each difference of the mean; None for as many as samples, and none for kind local.
        share: of each parameter, by which it is moved in differences; None for what is declared.
        seed: decides the samples.
        sampled, differenced: told of samples of gradients, and of seeds of a difference: how many of how many.
    """

    by: Collection[str] = ()
    samples: int | None = None
    differences: int | None = None
    share: float | None = None
    seed: int = 0
    sampled: Callable[[SoFar], None] | None = None
    differenced: Callable[[int, int], None] = lambda done, total: None


def differentiate(
    program: ScenarioProgram, params: Mapping[str, float], kind: Kind | None = None, effort: Effort | None = None
) -> LossGradient:
    """Every derivative of the program's loss.

    Args:
        params: all of the scenario's.
        kind: of all derivatives; None for what the declaration gives each parameter.

    Raises:
        UsageError: a parameter that is wanted is unknown, or has no declared meaning, and no kind is given.
        Whatever `detrun.gradient` raises.
    """
    scenario = program.scenario
    assert program.setting.loss is not None
    loss = scenario.loss(program.setting.loss)
    effort = Effort() if effort is None else effort
    work = _Work(program, params, effort)
    for name in effort.by:
        scenario.parameter(name)
    for meaning in meanings_for(loss, kind, effort.by):
        work.add(meaning if effort.share is None else replace(meaning, share=effort.share))
    order = list(scenario.defaults)
    found = sorted(work.found, key=lambda one: order.index(one.parameter))
    return LossGradient(loss.name, work.value, work.std_error, found, work.bias, work.warnings, work.steps)


@dataclass(slots=True)
class _Work:
    """What was found so far."""

    program: ScenarioProgram
    params: Mapping[str, float]
    effort: Effort
    found: list[Derivative] = field(default_factory=list)
    bias: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    value: float = 0.0
    std_error: float = 0.0
    steps: int = 0

    def add(self, meaning: Meaning) -> None:
        """The derivatives of one meaning."""
        effort, kind = self.effort, meaning.kind
        moved = {name: self.params[name] for name in meaning.parameters}
        options = dict(meaning.options)
        declared = options.pop("samples", None)
        count = effort.samples or declared or SAMPLES.get(kind, SAMPLES_OF_MEANS)
        if kind == "finite":
            parameter = self.program.scenario.parameter
            options["step"] = {name: step_of(parameter(name), at, meaning.share) for name, at in moved.items()}
            options["bounds"] = {name: parameter(name).bounds for name in moved}
        gradient = self._gradient(moved, kind, count, **options)
        self.value, self.std_error = gradient.value, gradient.value_std_error
        self.bias.append(f"{kind}: {gradient.bias}")
        self.warnings += gradient.warnings
        frozen = self._frozen(moved, gradient) if kind == "local" else {}
        seeds = effort.differences if effort.differences is not None else 0 if kind == "local" else count
        for name in moved:
            self.found.append(
                Derivative(
                    name,
                    kind,
                    float(gradient.grads[name]),
                    gradient.std_error[name],
                    frozen.get(name),
                    self._of_mean(name, meaning, max(seeds, 2)) if seeds or kind != "local" else None,
                    meaning.why,
                )
            )

    def _gradient(self, moved: Mapping[str, float], kind: Kind, count: int, **options: Any) -> detrun.Gradient:
        fixed = {name: one for name, one in self.params.items() if name not in moved}
        around = partial(_called, self.program, fixed)
        effort = self.effort
        found = detrun.gradient(
            around, moved, kind=kind, samples=count, seed=effort.seed, progress=effort.sampled, **options
        )
        assert found.cost is not None
        self.steps += found.cost.steps
        return found

    def _frozen(self, moved: Mapping[str, float], gradient: detrun.Gradient) -> dict[str, Frozen]:
        count = min(gradient.samples, FROZEN_SAMPLES)
        if count < gradient.samples:
            gradient = self._gradient(moved, "local", count)

        def step(name: str) -> float:
            least, most = (share * (abs(moved[name]) or 1.0) for share in FROZEN_STEP)
            slope = abs(float(gradient.grads[name]))
            wanted = FROZEN_CHANGE * abs(gradient.value) / slope if slope else most
            return min(max(wanted, least), most)

        steps = {name: step(name) for name in moved}
        best: dict[str, Frozen] = {}
        for _ in range(FROZEN_TRIES):
            wanted = {name: moved[name] for name in steps}
            found = self._gradient(wanted, "finite", count, schedule="frozen", step=steps)
            changed = getattr(found.details, "changed", {})
            for name, step_taken in steps.items():
                share = changed.get(name, changed.get("", 0.0))
                if name not in best or share < best[name].difference.changed:
                    difference = Difference(float(found.grads[name]), found.std_error[name], share)
                    best[name] = Frozen(float(gradient.grads[name]), difference, ROUNDING / step_taken, count)
            steps = {name: FROZEN_FINER * one for name, one in steps.items() if best[name].difference.changed}
            if not steps:
                break
        return best

    def _of_mean(self, name: str, meaning: Meaning, seeds: int) -> Difference:
        # Of falling temperatures the last one counts.
        given = meaning.options.get("temperature", 0.0) if meaning.kind == "relaxed" else 0.0
        temperature = given if isinstance(given, int | float) else list(given)[-1]
        found, steps = mean_difference(
            self.program,
            self.params,
            name,
            meaning.share,
            seeds,
            temperature=temperature,
            progress=lambda done: self.effort.differenced(done, seeds),
        )
        self.steps += steps
        return found


def meanings_for(loss: Loss, kind: Kind | None, by: Collection[str] = ()) -> tuple[Meaning, ...]:
    """The meanings that are declared, or those of one kind for all parameters that move the loss, or for some.

    Each parameter keeps the width of its differences, and a kind the options that the loss declares for it.

    Raises:
        UsageError: a parameter of ``by`` has no declared meaning, and no kind is given.
    """
    names = tuple(by) or loss.parameters
    if kind is None:
        for name in by:
            if name not in loss.parameters:
                raise UsageError(
                    f"{loss.name} declares no kind of gradient by {name}; give a kind, or one of "
                    f"{', '.join(loss.parameters)}"
                )
        kept = [replace(one, parameters=tuple(n for n in one.parameters if n in names)) for one in loss.meanings]
        return tuple(one for one in kept if one.parameters)
    declared = {one.kind: one for one in loss.meanings}
    if kind in declared:
        options = declared[kind].options
    else:
        options = {"temperature": TEMPERATURE} if kind == "relaxed" else {}
    widths: dict[float, list[str]] = {}
    for name in names:
        share = next((one.share for one in loss.meanings if name in one.parameters), SHARE)
        widths.setdefault(share, []).append(name)
    return tuple(Meaning(kind, tuple(some), "", options, share) for share, some in widths.items())


def kind_named(name: str | None) -> Kind | None:
    """A kind by its name; None for none.

    Raises:
        UsageError: there is no such kind.
    """
    kinds: dict[str, Kind] = {one: one for one in KINDS}
    return None if name is None else named("there is no kind of gradient", name, kinds)


async def _called(program: ScenarioProgram, fixed: Mapping[str, float], params: Mapping[str, Any]) -> Any:
    return await program({**fixed, **params})
