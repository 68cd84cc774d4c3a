"""Options of finite differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from detrun.gradients.finite.perturbed import CENTRAL, DIFFERENCES, FREE, FROZEN, SCHEDULES, SIMULTANEOUS
from detrun.gradients.sampling.program import Bounds, SampledProgram
from detrun_scheduler.errors import UsageError

MOVED_ONE_BY_ONE_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class FiniteOptions:
    """The fields are keyword arguments of `detrun.gradient`.

    Attributes:
        difference: ``"central"`` moves each parameter up and down, ``"forward"`` only up, and ``"simultaneous"`` moves
            all of them at once, each up or down at random: two runs for any number of parameters.
        schedule: ``"free"`` or ``"frozen"``, see `detrun.gradients.finite.perturbed`.
        step: how far to move: a number for all parameters or one by name; None chooses from the noise.
        bounds: by name, ``(low, high)``, either of them None: wider steps that only judge the step stay within.
    """

    difference: str = CENTRAL
    schedule: str = FREE
    step: float | Mapping[str, float] | None = None
    bounds: Bounds = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.difference not in DIFFERENCES:
            raise UsageError(f"unknown difference {self.difference!r}; choose one of {', '.join(DIFFERENCES)}")

        if self.schedule not in SCHEDULES:
            raise UsageError(f"unknown schedule {self.schedule!r}; choose one of {', '.join(SCHEDULES)}")

    def bounded(self, program: SampledProgram) -> SampledProgram:
        """The program with the bounds of its parameters.

        Raises:
            UsageError: a name in `bounds` is not among the parameters.
        """
        unknown = [name for name in self.bounds if name not in program.params]
        if unknown:
            raise UsageError(
                f"gradient: bounds of {', '.join(map(repr, unknown))}: the parameters are {', '.join(program.params)}; "
                "give bounds of these only"
            )
        return replace(program, bounds=self.bounds)

    def given_steps(self, program: SampledProgram) -> dict[str, float] | None:
        """The step of each number, if the caller has said so.

        Raises:
            UsageError: there are too many numbers to move one by one; a step is not positive or too small to change its
                parameter, or there is not one for each.
        """
        params = program.params
        program.tensors.check_can_move()
        if program.tensors and self.difference != SIMULTANEOUS and len(params) > MOVED_ONE_BY_ONE_MAX:
            raise UsageError(
                f"gradient: {self.difference} differences move the {len(params):,} numbers of the parameters one by "
                "one, in more runs than that for each sample; give difference='simultaneous', two runs for any number"
            )
        if program.tensors and self.schedule == FROZEN:
            raise UsageError("gradient: schedule='frozen' is for numbers; with tensors and modules use 'free'")
        if self.step is None:
            return None
        steps = program.spread(self.step) if isinstance(self.step, Mapping) else dict.fromkeys(params, self.step)
        if steps.keys() != params.keys():
            raise UsageError(f"gradient: step={self.step!r} must have one step for each of {', '.join(params)}")
        for name, step in steps.items():
            if not isinstance(step, int | float) or not 0.0 < step < math.inf:
                raise UsageError(f"gradient: step={step!r} of {name} must be a positive number")
            if params[name] + step == params[name]:
                raise UsageError(f"gradient: step={step!r} of {name} is too small to change {params[name]!r}")
        return {name: float(step) for name, step in steps.items()}
