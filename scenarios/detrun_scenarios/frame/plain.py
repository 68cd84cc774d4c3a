"""Plain numbers out of Values, for what must not count for a gradient: invariants, counts, histories."""

from __future__ import annotations

from typing import Any

import detrun


def plain(number: Any) -> float:
    """The number itself. A comparison of it is no place where a gradient could flip, and taking it no detachment."""
    return float(number.primal if isinstance(number, detrun.Value) else number)
