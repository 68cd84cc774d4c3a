"""The five priorities of resources, and the share of the bandwidth that each stands for.

A priority is a choice among levels. At a temperature (`detrun.relaxed`) its weight is a mean of those of the levels
near it, so that there is a derivative by it.

Source: Chromium, `net/spdy`: weights of HTTP/2 by `RequestPriority`, from the highest to idle.
"""

from __future__ import annotations

from typing import Any

from detrun import relaxed

WEIGHTS = (256.0, 220.0, 183.0, 147.0, 110.0)
HIGHEST = 0.0


def weight_of(priority: Any) -> Any:
    """The weight of the level nearest to a priority, from 0, the highest, to 4."""
    return relaxed.route([-((priority - level) ** 2) for level in range(len(WEIGHTS))], WEIGHTS)
