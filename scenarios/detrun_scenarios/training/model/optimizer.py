"""Stochastic gradient descent with momentum and weight decay, and a shorter step for a gradient that is stale.

The moments are the state of the optimizer. ``m ← momentum m + g + weight_decay w``, then
``w ← w - step_size m / (1 + discount s)``, where s is how many updates have come between the weights that the gradient
was taken at and those that it is applied to. So they are with ``torch.optim.SGD``, at s = 0.

Source: Polyak (1964); the division by the staleness is that of Zhang, Gupta, Lian and Liu (IJCAI 2016), softened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from detrun_scenarios.training.model.tensors import tensor_of
from detrun_scenarios.training.settings import Settings


@dataclass(frozen=True, slots=True)
class Optimizer:
    """Its numbers, as tensors without axes."""

    step_size: Any
    momentum: Any
    weight_decay: Any
    discount: Any

    def step(self, weights: Any, moments: Any, gradient: Any, staleness: int = 0) -> tuple[Any, Any]:
        """The new weights and moments; what is given stays as it is."""
        moments = self.momentum * moments + gradient + self.weight_decay * weights
        return weights - self.step_size / (1.0 + self.discount * staleness) * moments, moments


def optimizer_of(settings: Settings) -> Optimizer:
    """The optimizer that settings ask for; in a run, since their numbers may be Values of it."""
    return Optimizer(
        tensor_of(settings.step_size),
        tensor_of(settings.momentum),
        tensor_of(settings.weight_decay),
        tensor_of(settings.staleness_discount),
    )
