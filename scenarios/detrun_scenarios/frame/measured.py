"""Losses out of what a run has measured, which may be Values; each is 0 where nothing was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import detrun
from detrun.ad.value import primal_of


def mean(values: Sequence[Any]) -> Any:
    """Of all values."""
    return detrun.mean(values) if values else 0.0


def quantile(values: Sequence[Any], share: float) -> Any:
    """The smallest value such that this share of all is no greater; its derivative is that of the one it is.

    Where two change places it has a kink and no jump.
    """
    ordered = sorted(values, key=primal_of)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else 0.0
