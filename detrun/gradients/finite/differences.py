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

from detrun.gradients.finite.perturbed import FORWARD, FREE, Pair, pair, pair_farther, runs_of, width
from detrun.gradients.finite.report import FiniteDetails, bias_of, concluded
from detrun.gradients.sampling.functionals import Functional, bootstrapped
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
    of: Functional | None = None

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
                further = pair_farther(all_runs, {name: 2.0 * step}, lower)
                if further is None:
                    continue
                runs, steps = runs + further.runs, steps + further.steps
                doubled[name] = self._quotient(name, 2.0 * step, further)
        notes: dict[str, Any] = {"seed": seed, "sides": sides, "changed": changed, "doubled": doubled}
        return Sample(base.value, grads, runs, steps, notes)

    def _quotient(self, name: str, step: float, found: Pair) -> float:
        return (found.above - found.below) / width(self.program.params[name], step, self.difference)

    def estimates(self, samples: Sequence[Sample]) -> Estimates:
        """Means, or differences of another functional of both sides."""
        if self.of is None:
            return means(samples)
        values = [one.value for one in samples]
        sides = {name: _columns([one.notes["sides"][name] for one in samples]) for name in self.steps}
        of = self.of

        def statistic(chosen: Sequence[int]) -> list[float]:
            found = [of.of([values[index] for index in chosen])]
            for name, (above, below) in sides.items():
                apart = of.of([above[index] for index in chosen]) - of.of([below[index] for index in chosen])
                found.append(apart / width(self.program.params[name], self.steps[name], self.difference))
            return found

        value, *grads = bootstrapped(statistic, len(samples), of.samples_min)
        return Estimates(value, dict(zip(self.steps, grads, strict=True)))

    def concluded(self, samples: Sequence[Sample]) -> Conclusion:
        """What the steps make wrong, and how many runs took another way."""
        details = FiniteDetails(
            self.difference,
            self.schedule,
            dict(self.steps),
            {name: None if self.of else bias_of(samples, name, self.difference) for name in self.steps},
            {name: sum(one.notes["changed"][name] for one in samples) / len(samples) for name in self.steps},
        )
        return concluded(self.program, details, samples, self.of)


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [above for above, _ in pairs], [below for _, below in pairs]
