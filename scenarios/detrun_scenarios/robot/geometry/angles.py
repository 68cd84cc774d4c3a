"""Angles of one direction that differ by whole turns, in radians."""

from __future__ import annotations

import math
from typing import Any

from detrun_scenarios.frame.plain import plain

TURN = 2.0 * math.pi


def wrapped(angle: Any) -> Any:
    """The same direction within half a turn of 0. The turns that come off are a plain number: the slope stays 1."""
    return angle - TURN * round(plain(angle) / TURN)


def near(angle: Any, other: Any) -> Any:
    """The same direction as ``angle`` within half a turn of ``other``."""
    return other + wrapped(angle - other)
