"""Finite differences of the mean loss, one parameter at a time, under common random numbers.

Every sample runs the program with the parameters as they are and, by parameter, moved up and down (or only up). Every
fourth also moves twice as far: from the two quotients follows what the step itself makes wrong.

Source: Asmussen and Glynn, "Stochastic Simulation" (2007), VII.1, for differences under common random numbers;
Richardson (1911) for the error from two steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detrun.gradients.finite.perturbed import FORWARD, FREE, Pair, pair, runs_of, width
from detrun.gradients.finite.report import FiniteDetails, bias_of, concluded
from detrun.gradients.sampling.program import SampledProgram
from detrun.gradients.sampling.sample import Conclusion, Estimates, Sample, means

DOUBLED_EVERY = 4


@dataclass(slots=True)
class Differences:
    """An `Estimator`: central or forward differences with a step for each parameter."""

    program: SampledProgram
    difference: str
    steps: Mapping[str, float]
    schedule: str = FREE
    kind: str = "finite"
    uses_values: bool = False

    def sample(self, seed: int) -> Sample:
        """Difference quotients of one seed."""
        all_runs = runs_of(self.program, seed, self.schedule)
        base = all_runs.base()
        lower = base if self.difference == FORWARD else None
        runs, steps = 1, base.steps
        grads, sides, changed, doubled = {}, {}, {}, {}
        for name, step in self.steps.items():
            found = pair(all_runs, {name: step}, lower)
            runs, steps = runs + found.runs, steps + found.steps
            grads[name] = self._quotient(name, step, found)
            sides[name] = (found.above, found.below)
            changed[name] = found.differs
            if seed % DOUBLED_EVERY == 0:
                try:
                    further = pair(all_runs, {name: 2.0 * step}, lower)
                except Exception:
                    continue
                runs, steps = runs + further.runs, steps + further.steps
                doubled[name] = self._quotient(name, 2.0 * step, further)
        notes: dict[str, Any] = {"seed": seed, "sides": sides, "changed": changed, "doubled": doubled}
        return Sample(base.value, grads, runs, steps, notes)

    def _quotient(self, name: str, step: float, found: Pair) -> float:
        return (found.above - found.below) / width(self.program.params[name], step, self.difference)

    def estimates(self, samples: Sequence[Sample]) -> Estimates:
        """Means."""
        return means(samples)

    def concluded(self, samples: Sequence[Sample]) -> Conclusion:
        """What the steps make wrong, and how many runs took another way."""
        details = FiniteDetails(
            self.difference,
            self.schedule,
            dict(self.steps),
            {name: bias_of(samples, name, self.difference) for name in self.steps},
            {name: sum(one.notes["changed"][name] for one in samples) / len(samples) for name in self.steps},
        )
        return concluded(self.program, details, samples)
