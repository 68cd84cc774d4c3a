"""Steps of stochastic optimizers: from coordinates and a gradient to the next coordinates.

`Adam` weighs each coordinate's step by how well its gradient is known, g² / (g² + s²) for a standard error s: Adam
alone steps just as far on noise as on signal. Its rate falls as ``rate / sqrt(1 + k / 10)`` over steps k, so that the
noise averages out.

Source: Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015; Robbins and Monro (1951) for the rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from detrun.ad import torch_bridge

FIRST_DECAY, SECOND_DECAY, SMALLEST = 0.9, 0.999, 1e-12
RATE_STEPS = 10.0


class Steps(Protocol):
    """An optimizer with a state."""

    def step(self, at: Sequence[float], gradient: Sequence[float], errors: Sequence[float]) -> list[float]:
        """The next coordinates."""


class Adam:
    """See the module."""

    def __init__(self, count: int, rate: float) -> None:
        self.rate = rate
        self.steps = 0
        self.first = [0.0] * count
        self.second = [0.0] * count

    def step(self, at: Sequence[float], gradient: Sequence[float], errors: Sequence[float]) -> list[float]:
        """See `Steps`."""
        self.steps += 1
        rate = self.rate / math.sqrt(1.0 + (self.steps - 1) / RATE_STEPS)
        found = []
        for index, (place, slope, error) in enumerate(zip(at, gradient, errors, strict=True)):
            self.first[index] = FIRST_DECAY * self.first[index] + (1.0 - FIRST_DECAY) * slope
            self.second[index] = SECOND_DECAY * self.second[index] + (1.0 - SECOND_DECAY) * slope * slope
            first = self.first[index] / (1.0 - FIRST_DECAY**self.steps)
            second = self.second[index] / (1.0 - SECOND_DECAY**self.steps)
            known = slope * slope / (slope * slope + error * error) if slope else 0.0
            found.append(place - rate * known * first / (math.sqrt(second) + SMALLEST))
        return found


class TorchSteps:
    """A class of ``torch.optim``, made with the rate as its ``lr``."""

    def __init__(self, optimizer: Any, at: Sequence[float], rate: float) -> None:
        torch = torch_bridge.load()
        self.tensor = torch.tensor
        self.dtype = torch.float64
        self.at = torch.tensor(list(at), dtype=torch.float64, requires_grad=True)
        self.optimizer = optimizer([self.at], lr=rate)

    def step(self, at: Sequence[float], gradient: Sequence[float], errors: Sequence[float]) -> list[float]:
        """See `Steps`; the errors are not used."""
        self.at.data.copy_(self.tensor(list(at), dtype=self.dtype))
        self.at.grad = self.tensor(list(gradient), dtype=self.dtype)
        self.optimizer.step()
        found: list[float] = self.at.tolist()
        return found
