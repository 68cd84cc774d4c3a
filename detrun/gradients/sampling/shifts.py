"""Quantiles and tail means where a parameter moves probabilities: kinds of gradients that see jumps, scores and sides.

Such a kind says of each sample how its loss moves along the path, and by *shifts* how probability goes from one loss to
another: at the rate ``g`` from the loss of the run to that of another run, or by a score from the mean of all to the
loss of the run. With the share ``F`` of runs up to the quantile ``q`` and the density ``f`` there:

- ``d quantile = E[dL | L = q] - dF / f``, and ``dF`` is the sum of ``g (1{to <= q} - 1{from <= q})``;
- ``d cvar = E[dL | tail] + sum of g ((to - q)+ - (from - q)+) / (1 - P)``, in which ``q`` may be held fixed: where the
  tail begins has no effect to first order (Danskin).

``q`` is that of the samples themselves, and ``1 / f`` the spacing of the losses in the window of ranks around it
(`functionals`), divided by its share. So estimates have a bias that falls as samples grow. Standard errors are those of
a bootstrap over seeds that finds ``q`` and ``f`` anew each time. Where the window lies within one loss that many runs
have, the quantile moves with that loss alone.

Source: Hong, "Estimating quantile sensitivities", Operations Research 57 (2009); Peng, Fu, Glynn and Hu, "On the
asymptotic analysis of quantile sensitivity estimation by Monte Carlo simulation", WSC 2017, for the ratio; Rockafellar
and Uryasev, "Optimization of conditional value-at-risk", Journal of Risk 2 (2000).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detrun.gradients.sampling.functionals import CVAR, Functional, bootstrapped, ordered_by
from detrun.gradients.sampling.statistics import Estimate


@dataclass(frozen=True, slots=True)
class Shift:
    """Probability that goes from one loss to another.

    Attributes:
        before: the loss that it leaves; None: the mean of all, as a score has it.
        after: the loss that it goes to.
        rates: by parameter, how fast.
    """

    before: float | None
    after: float
    rates: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Moving:
    """What a sample says.

    Attributes:
        losses: of its runs, all of the same program or of its two sides.
        path: the derivative of its only loss along the path; empty where there are sides.
    """

    losses: Sequence[float]
    path: Mapping[str, float]
    shifts: Sequence[Shift]


def two_sided(sides: tuple[float, float], by: Mapping[str, float]) -> Moving:
    """Of a sample whose parameters were moved up and down along ``by``: probability goes from below to above."""
    above, below = sides
    return Moving(sides, {}, [Shift(below, above, {name: 0.5 / step for name, step in by.items()})])


class Level:
    """Where a functional is, among some losses.

    Attributes:
        at: the quantile.
        width: one over the density there.
    """

    def __init__(self, of: Functional, losses: Sequence[float]) -> None:
        self.of = of
        ordered = sorted(losses)
        count = len(ordered)
        self.at = ordered[min(max(math.ceil(of.level * count - 1e-9), 1), count) - 1]
        self.width = 0.0
        if of.name != CVAR:
            first, weights = of.weights(count)
            last = first + len(weights) - 1
            self.width = (ordered[last] - ordered[first]) * count / (last - first) if last > first else 0.0

    def worth(self, loss: float) -> float:
        """What a loss counts where probability goes to it."""
        if self.of.name == CVAR:
            return max(loss - self.at, 0.0) / (1.0 - self.of.level)
        return -self.width if loss <= self.at else 0.0


def estimated(of: Functional, samples: Sequence[Moving], names: Sequence[str]) -> tuple[Estimate, dict[str, Estimate]]:
    """The functional of the losses, and its derivative by each parameter."""
    alone = [one.losses[0] for one in samples]

    def statistic(chosen: Sequence[int]) -> list[float]:
        losses = [loss for index in chosen for loss in samples[index].losses]
        level = Level(of, losses)
        middle = math.fsum(map(level.worth, losses)) / len(losses)
        sums = dict.fromkeys(names, 0.0)
        for index in chosen:
            for shift in samples[index].shifts:
                before = middle if shift.before is None else level.worth(shift.before)
                if factor := (level.worth(shift.after) - before) / len(chosen):
                    for name, rate in shift.rates.items():
                        sums[name] += factor * rate
        for weight, index in ordered_by(alone, chosen, of):
            for name, slope in samples[index].path.items():
                sums[name] += weight * slope
        return [of.of(losses), *sums.values()]

    value, *grads = bootstrapped(statistic, len(samples), of.samples_min)
    return value, dict(zip(names, grads, strict=True))


def bias_of_level(of: Functional, count: int) -> str:
    """What the bias statement of a kind has before it, of so many samples."""
    low, high = of.levels(count)
    where = "" if of.name == CVAR else f", its density from the losses between the {low:.2%} and {high:.2%} quantiles"
    return (
        f"derivative of {of} of the loss, at the quantile of these samples{where}: a bias that falls as they grow, "
        "beside that of the derivatives of means that it is made of: "
    )
