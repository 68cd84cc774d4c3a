"""The numbers of a training; each may be a `Value`. `settings_of` takes them from the scenario's parameters by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """See the declaration of the scenario for each number's unit and meaning."""

    step_size: Any
    momentum: Any
    weight_decay: Any
    staleness_discount: Any
    staleness: Any
    compression_ratio: Any
    batch_1: Any
    batch_2: Any
    batch_3: Any
    slow_batch: Any
    checkpoint_interval: Any

    def batch_of(self, rank: int, workers: int) -> Any:
        """How many images a worker takes at once.

        Args:
            rank: whose, from 0; the last of all workers is the straggler.
            workers: how many there are, at most four.
        """
        return self.slow_batch if rank == workers - 1 else (self.batch_1, self.batch_2, self.batch_3)[rank]


def settings_of(params: Mapping[str, Any]) -> Settings:
    """The settings that parameters stand for."""
    return Settings(**{one.name: params[one.name] for one in fields(Settings)})
