"""`Layer`: two cells, with the weights and the moments of one layer, whose reads and writes are noted.

Each reader and writer says on behalf of which transaction it does so. From that a checker can tell which updates have
contradicted each other (`detrun.checkers.serializability`), and an explanation where they did.
"""

from __future__ import annotations

from typing import Any

import detrun
from detrun.checkers.transactions import Transaction


class Layer:
    """See the module. Each cell holds a tensor, which is replaced and never changed in place."""

    def __init__(self, number: int, weights: Any, moments: Any) -> None:
        self.weights, self.moments = detrun.Shared(weights), detrun.Shared(moments)
        self._name = f"layer {number}"
        self._version: int | None = None  # None before the first write

    def read(self, update: Transaction) -> tuple[Any, Any]:
        """Weights and moments, for an update."""
        update.read(self._name, self._version)
        return self.weights.value, self.moments.value

    def write(self, update: Transaction, weights: Any, moments: Any) -> None:
        """Put these in their place."""
        self.weights.value, self.moments.value = weights, moments
        self._version = (self._version or 0) + 1
        update.write(self._name, self._version)
