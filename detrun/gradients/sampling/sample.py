"""`Sample` and `Estimator`: what an estimator says of one seed, and what all kinds of estimators have in common.

A sample is a function of the estimator and of its seed alone. So samples can be taken anywhere and in any order, and
whatever is said of them is the same for every number of workers. Everything here is plain data that can be pickled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from detrun.gradients.sampling.functionals import Functional, bootstrapped, ordered_by
from detrun.gradients.sampling.program import SampledProgram
from detrun.gradients.sampling.statistics import Estimate, estimate


@dataclass(frozen=True, slots=True)
class Sample:
    """What one seed showed.

    Attributes:
        value: the loss with the parameters as they are.
        grads: by parameter, a number whose mean over seeds is the gradient, up to the bias that the kind states.
        runs: of the program that it took.
        steps: of all these runs.
        notes: what the estimator wants to know at the end: plain data.
        cpu_seconds: that the sample took. No part of the result that has to be the same everywhere.
    """

    value: float
    grads: Mapping[str, float]
    runs: int
    steps: int
    notes: Mapping[str, Any] = field(default_factory=dict)
    cpu_seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Estimates:
    """The loss and its gradient as they follow from samples."""

    value: Estimate
    grads: Mapping[str, Estimate]


class Details(Protocol):
    """What one kind has to say beyond the gradient. `detrun.Gradient` shows it."""

    def lines(self) -> Sequence[str]:
        """For people."""

    def as_data(self) -> Mapping[str, Any]:
        """Plain data, for JSON."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What an estimator says of its samples.

    Attributes:
        bias: in a sentence, what the estimate leaves out or gets wrong.
        warnings: what a reader should know before using the numbers.
        details: of this kind.
    """

    bias: str
    warnings: Sequence[str] = ()
    details: Details | None = None


class Estimator(Protocol):
    """One kind of gradient. It travels to workers, so it can be pickled.

    Attributes:
        kind: its name in `detrun.gradients.gradient.KINDS`.
        program: what is run.
        uses_values: samples run the program with `Value`s; the first is held to a run on plain numbers then.
    """

    kind: str
    program: SampledProgram
    uses_values: bool

    def sample(self, seed: int) -> Sample:
        """One sample."""

    def estimates(self, samples: Sequence[Sample]) -> Estimates:
        """The gradient from independent samples; for most kinds `means`."""

    def concluded(self, samples: Sequence[Sample]) -> Conclusion:
        """What there is to say when all samples are taken."""


def means(samples: Sequence[Sample], of: Functional | None = None) -> Estimates:
    """The mean of values and of each parameter's numbers.

    Args:
        of: another functional of the values; the numbers are derivatives of each sample's value then.
    """
    if of is not None:
        return _weighed(samples, of)
    return Estimates(
        estimate([one.value for one in samples]),
        {name: estimate([one.grads[name] for one in samples]) for name in samples[0].grads},
    )


def _weighed(samples: Sequence[Sample], of: Functional) -> Estimates:
    names = list(samples[0].grads)
    values = [one.value for one in samples]

    def statistic(chosen: Sequence[int]) -> list[float]:
        weighed = ordered_by(values, chosen, of)
        return [
            math.fsum(weight * values[index] for weight, index in weighed),
            *(math.fsum(weight * samples[index].grads[name] for weight, index in weighed) for name in names),
        ]

    value, *grads = bootstrapped(statistic, len(samples), of.samples_min)
    return Estimates(value, dict(zip(names, grads, strict=True)))
