"""Gaussian smoothing: the gradient of the mean loss over normally perturbed parameters, by runs alone.

The mean of ``L(x + w u)`` over standard normal u is smooth in x whatever L is, and its gradient is the mean of
``(L(x + w u) - L(x - w u)) u / (2 w)``: two runs a sample with common random numbers for any number of parameters, with
code that knows nothing of `Value`s. It is the gradient of a loss that is blurred over the width w of each parameter.

Source: Nesterov and Spokoiny, "Random gradient-free minimization of convex functions", Foundations of Computational
Mathematics 17 (2017); antithetic pairs as in Salimans et al., "Evolution strategies" (2017).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detrun.gradients.finite.perturbed import FreeRuns, pair
from detrun.gradients.relaxed.trend import TrendDetails, trend_of, unsettled
from detrun.gradients.sampling.functionals import Functional
from detrun.gradients.sampling.program import SampledProgram
from detrun.gradients.sampling.sample import Conclusion, Estimates, Sample, means
from detrun.gradients.sampling.shifts import Moving, Shift, bias_of_level, estimated
from detrun_scheduler.randomness import draw_bits, normal, stream_key, to_open_unit


@dataclass(slots=True)
class Smoothed:
    """An `Estimator`: the gradient at the last of falling widths.

    Args:
        widths: by parameter; one mapping for each level.
    """

    program: SampledProgram
    widths: Sequence[Mapping[str, float]]
    kind: str = "relaxed"
    uses_values: bool = False
    of: Functional | None = None

    def sample(self, seed: int) -> Sample:
        """One antithetic pair for each width, in one random direction."""
        stream = stream_key(seed, "Gaussian smoothing")
        direction = {
            name: normal(to_open_unit(draw_bits(stream, index)), 0.0, 1.0)
            for index, name in enumerate(self.program.params)
        }
        trend, steps, runs, value, last = [], 0, 0, 0.0, (0.0, 0.0)
        for widths in self.widths:
            found = pair(FreeRuns(self.program, seed), {name: widths[name] * one for name, one in direction.items()})
            steps, runs, value = steps + found.steps, runs + found.runs, 0.5 * (found.above + found.below)
            last = found.above, found.below
            apart = found.above - found.below
            trend.append({name: apart * one / (2.0 * widths[name]) for name, one in direction.items()})
        return Sample(value, trend[-1], runs, steps, {"trend": trend, "sides": last, "direction": direction})

    def estimates(self, samples: Sequence[Sample]) -> Estimates:
        """Means, or another functional."""
        if self.of is not None:
            moving = [self._moving(one) for one in samples]
            return Estimates(*estimated(self.of, moving, list(self.widths[-1])))
        return means(samples)

    def _moving(self, sample: Sample) -> Moving:
        above, below = sample.notes["sides"]
        rates = {name: 0.5 * one / self.widths[-1][name] for name, one in sample.notes["direction"].items()}
        return Moving((above, below), {}, [Shift(below, above, rates)])

    def concluded(self, samples: Sequence[Sample]) -> Conclusion:
        """The widths, and how the gradient moved as they fell."""
        levels = (
            [max(one.values()) for one in self.widths]
            if len(self.program.params) > 1
            else [next(iter(one.values())) for one in self.widths]
        )
        said = ", ".join(f"{name} {width:.3g}" for name, width in self.widths[-1].items())
        if self.of is not None:
            return Conclusion(
                f"{bias_of_level(self.of, 2 * len(samples))}gradient over parameters that are perturbed normally with "
                f"these widths: {said}; the losses of which the quantile is are blurred by them, too"
            )
        return Conclusion(
            f"gradient of the mean loss over parameters that are perturbed normally with these widths: {said}; the "
            "loss that it belongs to is blurred by them, and its bias falls with their squares where it is smooth",
            unsettled(samples, levels, "width"),
            TrendDetails("width", tuple(levels), trend_of(samples, levels)),
        )
