"""`Cells`: the weights and moments that a parameter server holds, one pair of cells for each layer.

An update reads the cells of a layer, computes for a while, and writes them, layer after layer. It holds the lock
meanwhile, as a checkpoint does: updates are applied one after the other, and none in part.
"""

from __future__ import annotations

from typing import Any

import trio

from detrun.checkers.transactions import Transactions
from detrun_scenarios.training.model.network import LAYERS
from detrun_scenarios.training.model.optimizer import Optimizer
from detrun_scenarios.training.model.tensors import torch
from detrun_scenarios.training.parameter_server.layer import Layer

APPLY_SECONDS = 0.00002  # for one layer


class Cells:
    """See the module.

    Attributes:
        lock: to be held by those who read or write all cells.
        history: what each update has read and written, a transaction for each layer.
    """

    def __init__(self, weights: Any, moments: Any, optimizer: Optimizer) -> None:
        self.lock = trio.Lock()
        self._optimizer = optimizer
        self.history = Transactions()
        parts = enumerate(zip(weights.split(LAYERS), moments.split(LAYERS), strict=True), 1)
        self._layers = [Layer(number, *part) for number, part in parts]

    def lock_of(self, worker: str) -> trio.Lock:
        """What an update from this worker must hold."""
        return self.lock

    def weights(self) -> Any:
        """All weights, in one tensor."""
        return torch().cat([layer.weights.value for layer in self._layers])

    def moments(self) -> Any:
        """All moments, in one tensor."""
        return torch().cat([layer.moments.value for layer in self._layers])

    async def apply(self, gradient: Any, staleness: int) -> None:
        """One update of all layers; holds a lock."""
        for layer, part in zip(self._layers, gradient.split(LAYERS), strict=True):
            with self.history.transaction() as update:
                updated = self._optimizer.step(*layer.read(update), part, staleness)
                await trio.sleep(APPLY_SECONDS)
                layer.write(update, *updated)
