"""The mean of local gradients over independent seeds: infinitesimal perturbation analysis.

It is the derivative of the mean loss where the loss of almost every run moves continuously with the parameters, and
misses what jumps elsewhere: a branch, timeout, order of events or discrete draw that flips contributes nothing.

Source: Ho and Cao, "Perturbation analysis and optimization of queueing networks", JOTA 40 (1983); Glasserman,
"Gradient Estimation via Perturbation Analysis" (1991), for the conditions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detrun.ad.tensor_parameters import TensorParameters
from detrun.gradients.sampling.functionals import QUANTILE, Functional
from detrun.gradients.sampling.program import SampledProgram
from detrun.gradients.sampling.sample import Conclusion, Estimates, Sample, means
from detrun.gradients.whole_tape import WholeTape

PLACES_SHOWN_MAX = 4


@dataclass(frozen=True, slots=True)
class DecidingPlaces:
    """Where runs could have gone another way. The `Details` of this kind.

    Attributes:
        shares: by place, the share of runs in which it is among the nearest; the most frequent first.
    """

    shares: Mapping[str, float]

    def lines(self) -> Sequence[str]:
        """The most frequent."""
        shown = list(self.shares.items())[:PLACES_SHOWN_MAX]
        return [f"{place} decides in {share:.0%} of runs" for place, share in shown]

    def as_data(self) -> Mapping[str, Any]:
        """Plain data."""
        return {"places": dict(self.shares)}


@dataclass(slots=True)
class AveragedLocal:
    """An `Estimator`: the local gradient of one run a sample."""

    program: SampledProgram
    kind: str = "local"
    uses_values: bool = True
    of: Functional | None = None

    def sample(self, seed: int) -> Sample:
        """The local gradient of the run with this seed."""
        scope = WholeTape(dict(self.program.params), TensorParameters({}), 0, measures_validity=False)
        run = self.program.run(self.program.params, seed, scope)
        places = sorted({f"{near.kind} at {near.where}" for near in scope.diagnostics.nearest_margins})
        notes = {"sites": scope.diagnostics.sites_passed, "places": places}
        return Sample(run.value, scope.grads, 1, run.steps, notes)

    def estimates(self, samples: Sequence[Sample]) -> Estimates:
        """Means, or another functional."""
        return means(samples, self.of)

    def concluded(self, samples: Sequence[Sample]) -> Conclusion:
        """How many runs could have gone another way."""
        decided = sum(bool(one.notes["sites"]) for one in samples)
        counts = Counter(place for one in samples for place in one.notes["places"])
        details = DecidingPlaces({place: times / len(samples) for place, times in counts.most_common()})
        if self.of is not None:
            return Conclusion(of_single_runs(self.of, len(samples)), details=details)
        return Conclusion(
            "mean of the sensitivities of single runs on their frozen schedules: it misses the jumps of the loss where "
            "a branch, timeout, event order or discrete draw flips, and is the derivative of the mean only where there "
            f"are none; {decided:,} of {len(samples):,} runs passed a place where a parameter decides",
            details=details,
        )


def of_single_runs(of: Functional, count: int) -> str:
    """What is left out where a quantile or a tail mean is differentiated by the gradients of single runs."""
    low, high = of.levels(count)
    which = f"whose loss is between the {low:.2%} and {high:.2%} quantiles" if of.name == QUANTILE else "of the tail"
    return (
        f"derivative of {of} as the mean sensitivity of the runs {which}, each on its frozen schedule: it misses the "
        "jumps of the loss where a branch, timeout, event order or discrete draw flips; such estimates have a bias "
        "that falls as their number grows"
    )
