"""`Cells`: the weights and moments that a parameter server holds, one pair of cells for each layer.

An update reads the cells of a layer, computes for a while, and writes them, layer after layer. Whoever updates holds
the lock, and so does a checkpoint: updates are applied one after the other, and none in part.
"""

from __future__ import annotations

from typing import Any

import trio

import detrun
from detrun_scenarios.training.model.network import LAYERS
from detrun_scenarios.training.model.optimizer import Optimizer
from detrun_scenarios.training.model.tensors import torch

APPLY_SECONDS = 0.00002  # for one layer


class Cells:
    """See the module. Each cell holds a tensor, which is replaced and never changed in place.

    Attributes:
        lock: to be held by those who read or write all cells.
    """

    def __init__(self, weights: Any, moments: Any, optimizer: Optimizer) -> None:
        self.lock = trio.Lock()
        self._optimizer = optimizer
        self._weights = [detrun.Shared(one) for one in weights.split(LAYERS)]
        self._moments = [detrun.Shared(one) for one in moments.split(LAYERS)]

    def lock_of(self, worker: str) -> trio.Lock:
        """What an update from this worker must hold."""
        return self.lock

    def weights(self) -> Any:
        """All weights, in one tensor."""
        return torch().cat([cell.value for cell in self._weights])

    def moments(self) -> Any:
        """All moments, in one tensor."""
        return torch().cat([cell.value for cell in self._moments])

    async def apply(self, gradient: Any, staleness: int) -> None:
        """One update of all layers; holds a lock."""
        for weights, moments, part in zip(self._weights, self._moments, gradient.split(LAYERS), strict=True):
            updated = self._optimizer.step(weights.value, moments.value, part, staleness)
            await trio.sleep(APPLY_SECONDS)
            weights.value, moments.value = updated
