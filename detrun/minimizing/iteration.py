"""What a minimization passes through: its iterations, and its looks at held-out seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Iteration:
    """One step of a minimization.

    Attributes:
        number: from 1.
        params: where the gradient was taken.
        value, value_std_error: the mean loss of its samples.
        grads, std_error: by parameter.
        samples: that it is the mean of.
    """

    number: int
    params: Mapping[str, float]
    value: float
    value_std_error: float
    grads: Mapping[str, float]
    std_error: Mapping[str, float]
    samples: int


@dataclass(frozen=True, slots=True)
class Look:
    """The loss over the held-out seeds at some parameters.

    Attributes:
        after: iterations made before it.
        params: where.
        value, std_error: that loss.
    """

    after: int
    params: Mapping[str, float]
    value: float
    std_error: float
