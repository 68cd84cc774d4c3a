"""Relaxation by a temperature: the local gradient of a program whose choices `detrun.relaxed` softens.

Each sample runs the program at every temperature with the same seed, so the numbers at two temperatures share their
noise and their difference is known better than either. Every fourth sample also runs it exactly, to see what the
temperature does to the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import outcome

from detrun.ad import temperature as temperature_state
from detrun.ad.temperature import temperature_of
from detrun.ad.tensor_parameters import TensorParameters
from detrun.gradients.relaxed.trend import TrendDetails, trend_of, unsettled
from detrun.gradients.sampling.functionals import Functional
from detrun.gradients.sampling.program import SampledProgram
from detrun.gradients.sampling.sample import Conclusion, Estimates, Sample, means
from detrun.gradients.sampling.statistics import estimate
from detrun.gradients.whole_tape import WholeTape
from detrun_scheduler.run import ActiveRun

EXACT_EVERY = 4


class SoftTape(WholeTape):
    """The tape of a run at a temperature.

    Attributes:
        relaxed_calls: how many functions of `detrun.relaxed` the program called.
    """

    def __init__(self, numbers: dict[str, float], tensors: TensorParameters, temperature: float) -> None:
        super().__init__(numbers, tensors, 0, measures_validity=False)
        self.temperature = temperature
        self.relaxed_calls = 0
        self._set: AbstractContextManager[None] | None = None

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """Set the temperature, and start the tape."""
        self._set = temperature_of(self.temperature)
        self._set.__enter__()
        return super().begin(run, args)

    def end(self, ended: outcome.Outcome[Any]) -> outcome.Outcome[Any]:
        """Count, and sweep."""
        self.relaxed_calls = temperature_state.calls
        return super().end(ended)

    def close(self) -> None:
        """Put back the temperature."""
        super().close()
        if self._set is not None:
            self._set.__exit__(None, None, None)
            self._set = None


@dataclass(slots=True)
class Softened:
    """An `Estimator`: the gradient at the last of falling temperatures."""

    program: SampledProgram
    temperatures: Sequence[float]
    kind: str = "relaxed"
    uses_values: bool = False  # but not with the loss of the exact program
    of: Functional | None = None

    def sample(self, seed: int) -> Sample:
        """Local gradients at all temperatures."""
        trend, steps, runs, value, calls = [], 0, 0, 0.0, 0
        for temperature in self.temperatures:
            scope = SoftTape(self.program.numbers, self.program.tensors, temperature)
            run = self.program.run(self.program.params, seed, scope)
            steps, runs, value, calls = steps + run.steps, runs + 1, run.value, scope.relaxed_calls
            trend.append(self.program.flat(scope.grads))
        notes: dict[str, Any] = {"trend": trend, "calls": calls}
        if seed % EXACT_EVERY == 0:
            exact = self.program.run(self.program.params, seed)
            steps, runs = steps + exact.steps, runs + 1
            notes["moved"] = value - exact.value
        return Sample(value, trend[-1], runs, steps, notes)

    def estimates(self, samples: Sequence[Sample]) -> Estimates:
        """Means, or another functional."""
        return means(samples, self.of)

    def concluded(self, samples: Sequence[Sample]) -> Conclusion:
        """What the temperature changes, and how the gradient moved as it fell."""
        trend = trend_of(samples, self.temperatures)
        moved = [one.notes["moved"] for one in samples if "moved" in one.notes]
        details = TrendDetails("temperature", tuple(self.temperatures), trend, estimate(moved) if moved else None)
        warnings = unsettled(samples, self.temperatures, "temperature")
        if not any(one.notes["calls"] for one in samples):
            warnings.append(
                "the program calls no function of detrun.relaxed, so nothing was softened: this is the mean of local "
                "gradients; call them where it decides, or pass smoothing= for code that cannot be changed"
            )
        what = "the mean loss" if self.of is None else f"{self.of} of the loss"
        return Conclusion(
            f"gradient of {what} of the program softened at temperature {self.temperatures[-1]:g}: its bias "
            "falls with the temperature, and choices that are not made by detrun.relaxed are missed as in local "
            "gradients; straight-through results keep a bias at any temperature",
            warnings,
            details,
        )
