"""Derivatives of a loss by each parameter, each of the kind that its declaration gives, beside a finite difference.

A ``local`` gradient is the derivative on frozen schedules. It is held against central differences of the same runs that
keep their schedules (`kind="finite", schedule="frozen"`), with a step so small that almost none changes it: they agree
to rounding. The other kinds are derivatives of the mean. They are held against differences of runs of their own under
common random numbers, and agree within the noise of both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import detrun
from detrun_scenarios.frame.declaration import KINDS, Kind, Loss, Meaning
from detrun_scenarios.frame.names import named
from detrun_scenarios.frame.scenario_program import ScenarioProgram

FROZEN_STEP = 1e-6  # of a parameter: truncation goes with its square, rounding with 1e-16 over it
FROZEN_ERROR_MAX = 1e-6  # relative
STANDARD_ERRORS_MAX = 4.0
SAMPLES = {"local": 4}  # of a gradient, unless its meaning says so
SAMPLES_OF_MEANS = 100


@dataclass(frozen=True, slots=True)
class Derivative:
    """One number and its check.

    Attributes:
        kind: that gave ``derivative``.
        difference: the finite difference, with its standard error.
        changed: share of the samples of the difference whose two sides took other steps.
        why: what the declaration says for this kind; empty for a kind that it does not give this parameter.
    """

    parameter: str
    kind: Kind
    derivative: float
    std_error: float
    difference: float
    difference_std_error: float
    changed: float
    why: str = ""

    @property
    def apart(self) -> float:
        """How far the two are apart: relative to the larger for ``local``, else in standard errors of both."""
        distance = abs(self.derivative - self.difference)
        scale = (
            max(abs(self.derivative), abs(self.difference))
            if self.kind == "local"
            else math.hypot(self.std_error, self.difference_std_error)
        )
        return distance / scale if scale else (0.0 if distance == 0.0 else math.inf)

    @property
    def agrees(self) -> bool:
        """Whether the two say the same. Where a side of a frozen difference left the schedule there is no saying so."""
        return self.apart <= (FROZEN_ERROR_MAX if self.kind == "local" else STANDARD_ERRORS_MAX)


@dataclass(frozen=True, slots=True)
class LossGradient:
    """A loss at some parameters, and its derivatives."""

    loss: str
    value: float
    std_error: float
    derivatives: list[Derivative]
    bias: list[str]
    steps: int


def differentiate(
    program: ScenarioProgram, params: Mapping[str, float], kind: Kind | None, samples: int | None, seed: int
) -> LossGradient:
    """Every derivative of the program's loss.

    Args:
        params: all of the scenario's.
        kind: of all derivatives; None for what the declaration gives each parameter.
        samples: of each gradient; None for what is declared.

    Raises:
        Whatever `detrun.gradient` raises.
    """
    scenario = program.scenario
    assert program.setting.loss is not None
    loss = scenario.loss(program.setting.loss)
    found: list[Derivative] = []
    bias: list[str] = []
    value = std_error = 0.0
    steps = 0
    for meaning in meanings_for(loss, kind):
        moved = {name: params[name] for name in meaning.parameters}
        around = partial(_called, program, {name: one for name, one in params.items() if name not in moved})
        options = dict(meaning.options)
        count = samples or options.pop("samples", None) or SAMPLES.get(meaning.kind, SAMPLES_OF_MEANS)
        options.pop("samples", None)
        gradient = detrun.gradient(around, moved, kind=meaning.kind, samples=count, seed=seed, **options)
        difference = detrun.gradient(
            around, moved, kind="finite", samples=count, seed=seed, **_difference_options(meaning.kind, moved)
        )
        value, std_error = gradient.value, gradient.value_std_error
        steps += sum(one.cost.steps for one in (gradient, difference) if one.cost is not None)
        bias.append(f"{meaning.kind}: {gradient.bias}")
        changed = getattr(difference.details, "changed", {})
        found += [
            Derivative(
                name,
                meaning.kind,
                float(gradient.grads[name]),
                gradient.std_error[name],
                float(difference.grads[name]),
                difference.std_error[name],
                changed.get(name, changed.get("", 0.0)),
                meaning.why,
            )
            for name in moved
        ]
    order = list(scenario.defaults)
    return LossGradient(
        loss.name, value, std_error, sorted(found, key=lambda one: order.index(one.parameter)), bias, steps
    )


def meanings_for(loss: Loss, kind: Kind | None) -> tuple[Meaning, ...]:
    """The meanings that are declared, or one of the kind for all parameters that move the loss."""
    if kind is None:
        return loss.meanings
    declared = {one.kind: one for one in loss.meanings}
    options = declared[kind].options if kind in declared else {}
    return (Meaning(kind, loss.parameters, "", options),) if loss.parameters else ()


def kind_named(name: str | None) -> Kind | None:
    """A kind by its name; None for none.

    Raises:
        UsageError: there is no such kind.
    """
    kinds: dict[str, Kind] = {one: one for one in KINDS}
    return None if name is None else named("there is no kind of gradient", name, kinds)


def _difference_options(kind: Kind, moved: Mapping[str, float]) -> dict[str, Any]:
    if kind != "local":
        return {}
    return {
        "schedule": "frozen",
        "step": {name: FROZEN_STEP * (abs(number) or 1.0) for name, number in moved.items()},
    }


async def _called(program: ScenarioProgram, fixed: Mapping[str, float], params: Mapping[str, Any]) -> Any:
    return await program({**fixed, **params})
