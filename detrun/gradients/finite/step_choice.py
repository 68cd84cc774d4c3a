"""The step of a finite difference, chosen from the noise of a few runs that are used for nothing else.

With common random numbers the difference quotient of one seed has a variance of about ``a + c / h``: ``a`` where the
loss moves smoothly, and ``c / h`` where a small change flips something, since flips come in proportion to the step
``h`` and each counts ``1 / h``. The bias is about ``b * h**q``, q = 2 for central and 1 for forward differences. The
mean of n samples has its least squared error at ``h = (c / (2 q b**2 n)) ** (1 / (2 q + 1))``.

A pilot tries steps of 0.1, 0.01 and 0.001 of the parameter (of 1 if it is 0). Where the quotients of each seed agree
over all three, nothing flips and the smallest is taken. Elsewhere ``c`` is what the spread at the largest steps shows,
and ``b`` the difference of the means there, or its standard error if that is larger: noise must not make a step look
free of bias. The steps of the pilot bound the choice. Steps at which the program fails are left out.

Source: L'Ecuyer and Perron, "On the convergence rates of IPA and FDC derivative estimators", Operations Research 42
(1994), for the rates with common random numbers; Glynn, "Optimization of stochastic systems via simulation", WSC 1989.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detrun.gradients.finite.perturbed import FORWARD, FREE, FROZEN, pair, pair_farther, runs_of, width
from detrun.gradients.sampling.program import SampledProgram
from detrun.gradients.sampling.sample import Conclusion, Estimates, Sample, means
from detrun.gradients.sampling.statistics import Estimate, estimate

PILOT_SAMPLES = 12
SHARES = (1e-3, 1e-2, 1e-1)  # of the parameter
ROUGH = 0.01  # of a quotient's mean square: what may differ between steps where nothing flips


def scale(number: float) -> float:
    """What a step is a share of."""
    return abs(number) or 1.0


@dataclass(slots=True)
class Pilot:
    """An `Estimator` of quotients at several steps: ``notes["quotients"][direction][k]``, None where a run failed.

    Args:
        directions: by name, how far each parameter moves for a share of 1; one of them at a time, or all at once.
    """

    program: SampledProgram
    difference: str
    directions: Mapping[str, Mapping[str, float]]
    schedule: str = FREE
    kind: str = "finite"
    uses_values: bool = False

    def sample(self, seed: int) -> Sample:
        """Quotients at all steps, each by its share."""
        all_runs = runs_of(self.program, seed, self.schedule)
        base, runs, steps = None, 0, 0
        if self.difference == FORWARD or self.schedule == FROZEN:
            run = all_runs.base()
            runs, steps = 1, run.steps
            base = run if self.difference == FORWARD else None
        quotients: dict[str, list[float | None]] = {}
        for name, direction in self.directions.items():
            found: list[float | None] = []
            for share in SHARES:
                take = pair if share == SHARES[0] else pair_farther  # a program that fails at the least step fails
                sides = take(all_runs, {one: share * far for one, far in direction.items()}, base)
                if sides is None:
                    found.append(None)
                    continue
                found.append((sides.above - sides.below) / width(0.0, share, self.difference))
                runs, steps = runs + sides.runs, steps + sides.steps
            quotients[name] = found
        return Sample(0.0, {}, runs, steps, {"quotients": quotients})

    def estimates(self, samples: Sequence[Sample]) -> Estimates:
        """Nothing is estimated."""
        return means(samples)

    def concluded(self, samples: Sequence[Sample]) -> Conclusion:
        """Nothing is concluded."""
        return Conclusion("")


def chosen_share(samples: Sequence[Sample], direction: str, difference: str, count: int) -> float:
    """The step in this direction, as a share, for a mean of ``count`` samples."""
    rows = [one.notes["quotients"][direction] for one in samples]
    usable = [k for k in range(len(SHARES)) if all(row[k] is not None for row in rows)]
    columns = [[row[k] for row in rows] for k in usable]
    shares = [SHARES[k] for k in usable]
    if len(usable) == 1 or not _is_rough(columns):
        return shares[0]
    power = 1 if difference == FORWARD else 2
    largest, middle = estimate(columns[-1]), estimate(columns[-2])
    jumps = _jumps(shares, [estimate(column) for column in columns], len(rows))
    apart = shares[-1] ** power - shares[-2] ** power
    between = estimate([a - b for a, b in zip(columns[-1], columns[-2], strict=True)])
    bias = max(abs(largest.mean - middle.mean), between.std_error) / apart
    if bias == 0.0 or jumps == 0.0:
        return shares[-1]
    best = (jumps / (2.0 * power * bias**2 * count)) ** (1.0 / (2 * power + 1))
    return float(min(max(best, shares[0]), shares[-1]))


def _is_rough(columns: Sequence[Sequence[float]]) -> bool:
    """Whether the quotients of single seeds depend on the step."""
    size = max(math.fsum(one * one for one in column) for column in columns)
    apart = max(math.fsum((a - b) ** 2 for a, b in zip(columns[-1], column, strict=True)) for column in columns[:-1])
    return apart > ROUGH * size


def _jumps(shares: Sequence[float], found: Sequence[Estimate], count: int) -> float:
    """The c of a variance ``a + c / h``.

    Two steps tell ``a`` from ``c / h`` where both saw flips; a smaller step has often seen none, and then all of the
    variance at the largest counts as theirs.
    """
    large, small = shares[-1], shares[-2]
    at_large, at_small = (count * one.std_error**2 for one in (found[-1], found[-2]))
    if at_small > at_large:
        return (at_small - at_large) / (1.0 / small - 1.0 / large)
    return at_large * large
