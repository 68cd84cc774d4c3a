"""Updates of two workers read the same weights, and the one that is written first is lost."""

from __future__ import annotations

from typing import Any

import trio

from detrun_scenarios.training.model.optimizer import Optimizer
from detrun_scenarios.training.parameter_server.cells import Cells


class LostUpdate(Cells):
    """Has a lock for each worker."""

    def __init__(self, weights: Any, moments: Any, optimizer: Optimizer) -> None:
        super().__init__(weights, moments, optimizer)
        self._locks: dict[str, trio.Lock] = {}

    def lock_of(self, worker: str) -> trio.Lock:
        """See `Cells.lock_of`."""
        return self._locks.setdefault(worker, trio.Lock())  # right: one for all
