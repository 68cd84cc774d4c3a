"""How long a backend works on one question: exponential, or no time at all where the schedule alone is to decide."""

from __future__ import annotations

from typing import Any

import detrun
from detrun_scenarios.frame.plain import plain


def service_time(mean: Any, key: object) -> Any:
    """Seconds, drawn under a key; 0 for a mean of 0."""
    return detrun.exponential(mean, key=key) if plain(mean) else 0.0
