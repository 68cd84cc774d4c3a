"""Simultaneous perturbation: all parameters move at once, each up or down at random, for two runs a sample.

The quotient of the loss by a parameter's own move is its derivative, plus the derivatives of all others with random
signs, which average out. A sample costs two runs for any number of parameters; its variance holds the squares of all
other derivatives (each weighed by the ratio of the steps), so it takes about as many more samples as there are
parameters that matter, and pays off where samples are averaged over anyway, or where the noise of runs is larger.

Source: Spall, "Multivariate stochastic approximation using a simultaneous perturbation gradient approximation", IEEE
Transactions on Automatic Control 37 (1992).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detrun.gradients.finite.differences import DOUBLED_EVERY
from detrun.gradients.finite.perturbed import FREE, FROZEN, SIMULTANEOUS, Pair, pair, pair_farther, runs_of
from detrun.gradients.finite.report import FiniteDetails, bias_of, concluded
from detrun.gradients.sampling.functionals import Functional
from detrun.gradients.sampling.program import SampledProgram
from detrun.gradients.sampling.sample import Conclusion, Estimates, Sample, means
from detrun.gradients.sampling.shifts import estimated, two_sided
from detrun_scheduler.randomness import draw_bits, stream_key


def signs(names: Sequence[str], seed: int) -> dict[str, float]:
    """Up (1) or down (-1) for each parameter, at random."""
    stream = stream_key(seed, "simultaneous perturbation")
    return {name: 1.0 if draw_bits(stream, index) >> 63 else -1.0 for index, name in enumerate(names)}


@dataclass(slots=True)
class SimultaneousPerturbation:
    """An `Estimator`: two runs a sample."""

    program: SampledProgram
    steps: Mapping[str, float]
    schedule: str = FREE
    kind: str = "finite"
    uses_values: bool = False
    of: Functional | None = None

    def sample(self, seed: int) -> Sample:
        """Quotients of one random direction."""
        by = {name: sign * self.steps[name] for name, sign in signs(list(self.steps), seed).items()}
        all_runs = runs_of(self.program, seed, self.schedule)
        found = pair(all_runs, by)
        runs, steps, doubled = found.runs, found.steps, {}
        if self.schedule == FROZEN:
            runs, steps = runs + 1, steps + all_runs.base().steps
        if seed % DOUBLED_EVERY == 0:
            further = pair_farther(all_runs, {name: 2.0 * step for name, step in by.items()})
            if further is not None:
                runs, steps = runs + further.runs, steps + further.steps
                doubled = {name: _quotient(further, 2.0 * step) for name, step in by.items()}
        return Sample(
            0.5 * (found.above + found.below),
            {name: _quotient(found, step) for name, step in by.items()},
            runs,
            steps,
            {"seed": seed, "by": by, "changed": {"": found.differs}, "doubled": doubled, "sides": _sides(found)},
        )

    def estimates(self, samples: Sequence[Sample]) -> Estimates:
        """Means, or another functional."""
        if self.of is not None:
            return Estimates(*estimated(self.of, [two_sided(one, by) for one, by in _moves(samples)], list(self.steps)))
        return means(samples)

    def concluded(self, samples: Sequence[Sample]) -> Conclusion:
        """What the steps make wrong, and how many runs took another way."""
        changed = sum(one.notes["changed"][""] for one in samples) / len(samples)
        details = FiniteDetails(
            SIMULTANEOUS,
            self.schedule,
            dict(self.steps),
            {name: None if self.of else bias_of(samples, name, SIMULTANEOUS) for name in self.steps},
            {"": changed},
        )
        return concluded(self.program, details, samples, self.of)


def _sides(found: Pair) -> tuple[float, float]:
    return found.above, found.below


def _moves(samples: Sequence[Sample]) -> list[tuple[tuple[float, float], Mapping[str, float]]]:
    return [(one.notes["sides"], one.notes["by"]) for one in samples]


def _quotient(found: Pair, step: float) -> float:
    return (found.above - found.below) / (2.0 * step)
