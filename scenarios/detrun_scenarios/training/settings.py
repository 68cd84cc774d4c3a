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
    fast_batch: Any
    slow_batch: Any
    checkpoint_interval: Any


def settings_of(params: Mapping[str, Any]) -> Settings:
    """The settings that parameters stand for."""
    return Settings(**{one.name: params[one.name] for one in fields(Settings)})
