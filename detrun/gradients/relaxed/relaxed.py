"""`relaxed_gradient`: of a program softened at a temperature, or of its mean over perturbed parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from detrun.ad.temperature import checked
from detrun.gradients.relaxed.smoothed import Smoothed
from detrun.gradients.relaxed.softened import Softened
from detrun.gradients.result import Gradient
from detrun.gradients.sampling.averaged import sampled_gradient
from detrun.gradients.sampling.collector import Sampling
from detrun.gradients.sampling.functionals import Functional
from detrun.gradients.sampling.program import SampledProgram
from detrun_scheduler.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaxedOptions:
    """The fields are keyword arguments of `detrun.gradient`; one of them must be given.

    Attributes:
        temperature: of the program's calls of `detrun.relaxed`, or falling ones, of which the last counts.
        smoothing: the width of a normal perturbation: of each parameter, or by name; or a list of such, falling.
    """

    temperature: float | Sequence[float] | None = None
    smoothing: float | Mapping[str, float] | Sequence[float | Mapping[str, float]] | None = None

    def temperatures(self) -> list[float]:
        """Falling.

        Raises:
            UsageError: one is negative, or they do not fall.
        """
        given = self.temperature
        found = [checked(one) for one in given] if isinstance(given, Sequence) else [checked(given or 0.0)]
        if not found or any(later >= earlier for earlier, later in pairwise(found)):
            raise UsageError(
                f"gradient: temperature={given!r} must be a number, or falling numbers such as [1, 0.3, 0.1]"
            )
        return found

    def widths(self, program: SampledProgram) -> list[dict[str, float]]:
        """By number, at each level.

        Raises:
            UsageError: one is not positive, or there is not one for each parameter.
        """
        given, params = self.smoothing, program.params
        program.tensors.check_can_move()
        levels = given if isinstance(given, Sequence) else [given]
        found = []
        for level in levels:
            widths = program.spread(level) if isinstance(level, Mapping) else dict.fromkeys(params, level)
            if widths.keys() != params.keys():
                raise UsageError(f"gradient: smoothing={level!r} must have one width for each of {', '.join(params)}")
            for name, width in widths.items():
                if not isinstance(width, int | float) or not 0.0 < width < math.inf:
                    raise UsageError(f"gradient: smoothing={width!r} of {name} must be a positive number")
            found.append({name: float(widths[name]) for name in params})  # type: ignore[arg-type]
        if not found:
            raise UsageError("gradient: smoothing=[] has no width; give one, or falling ones such as [0.1, 0.05]")
        return found


def relaxed_gradient(
    program: SampledProgram, sampling: Sampling, options: RelaxedOptions, of: Functional | None = None
) -> Gradient:
    """The relaxed gradient.

    Raises:
        UsageError: neither a temperature nor a smoothing is given, or both are.
    """
    if (options.temperature is None) == (options.smoothing is None):
        raise UsageError(
            "gradient: kind='relaxed' needs temperature=, for a program that calls detrun.relaxed, or smoothing=, for "
            "any program: give one of them"
        )
    if options.temperature is not None:
        return sampled_gradient(Softened(program, options.temperatures(), of=of), sampling, of)
    return sampled_gradient(Smoothed(program, options.widths(program), of=of), sampling, of)
