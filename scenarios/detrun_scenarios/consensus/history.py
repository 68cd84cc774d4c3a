"""The sequential specification of the cluster: numbers by key, each an object of its own."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from detrun.checkers.histories import PENDING, Operation


class Numbers:
    """``put(key, value) → value``, ``add(key, value) → the sum`` and ``read(key) → the value``; 0 at first."""

    initial = 0
    observers = frozenset({"read"})

    def step(self, state: int, operation: Operation, result: Any) -> tuple[bool, int]:
        """See `detrun.checkers.models.Model`."""
        if operation.name == "read":
            return result in (PENDING, state), state
        after = operation.arguments[1] + (state if operation.name == "add" else 0)
        return result in (PENDING, after), after

    def partition(self, operation: Operation) -> Hashable:
        """The key."""
        key: str = operation.arguments[0]
        return key
