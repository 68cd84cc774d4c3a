"""Steps of stochastic optimizers: from coordinates and a gradient to the next coordinates.

`Adam` steps as far on noise as on signal, but noise takes it back again while signal adds up. So nothing is held back
while the noise of single gradients is larger than they are: many rough steps get further than few exact ones for the
same runs. Its rate falls as ``rate / sqrt(1 + k / 30)`` over steps k, so that the noise averages out in the end.
Squares of gradients are remembered for about 100 steps, a tenth of what is usual: jumps make rare gradients that are a
hundred times as long as the others, and one of them must not shorten the steps for good.

Source: Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015; Robbins and Monro (1951) for the rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from detrun.ad import torch_bridge

FIRST_DECAY, SECOND_DECAY, SMALLEST = 0.9, 0.99, 1e-12
RATE_STEPS = 30.0


class Steps(Protocol):
    """An optimizer with a state.

    Attributes:
        shortens: whether its steps get shorter by themselves, so that noise averages out without more samples.
    """

    shortens: bool

    def step(self, at: Sequence[float], gradient: Sequence[float]) -> list[float]:
        """The next coordinates."""


class Adam:
    """See the module."""

    shortens = True

    def __init__(self, count: int, rate: float) -> None:
        self.rate = rate
        self.steps = 0
        self.first = [0.0] * count
        self.second = [0.0] * count

    def step(self, at: Sequence[float], gradient: Sequence[float]) -> list[float]:
        """See `Steps`."""
        self.steps += 1
        rate = self.rate / math.sqrt(1.0 + (self.steps - 1) / RATE_STEPS)
        found = []
        for index, (place, slope) in enumerate(zip(at, gradient, strict=True)):
            self.first[index] = FIRST_DECAY * self.first[index] + (1.0 - FIRST_DECAY) * slope
            self.second[index] = SECOND_DECAY * self.second[index] + (1.0 - SECOND_DECAY) * slope * slope
            first = self.first[index] / (1.0 - FIRST_DECAY**self.steps)
            second = self.second[index] / (1.0 - SECOND_DECAY**self.steps)
            found.append(place - rate * first / (math.sqrt(second) + SMALLEST))
        return found


class TorchSteps:
    """A class of ``torch.optim``, made with the rate as its ``lr``."""

    shortens = False

    def __init__(self, optimizer: Any, at: Sequence[float], rate: float) -> None:
        torch = torch_bridge.load()
        self.tensor = torch.tensor
        self.dtype = torch.float64
        self.at = torch.tensor(list(at), dtype=torch.float64, requires_grad=True)
        self.optimizer = optimizer([self.at], lr=rate)

    def step(self, at: Sequence[float], gradient: Sequence[float]) -> list[float]:
        """See `Steps`."""
        self.at.data.copy_(self.tensor(list(at), dtype=self.dtype))
        self.at.grad = self.tensor(list(gradient), dtype=self.dtype)
        self.optimizer.step()
        found: list[float] = self.at.tolist()
        return found
