"""Coordinates in which steps are taken: parameters in units of their own size, or their logarithms, within bounds.

One rate then suits a time-out of 0.01 s and a queue of 1,000 places: a step of 0.05 is 5 % of either. Where a parameter
begins at a small part of its range, its first value says too little of its size, and a scale is given.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from detrun_scheduler.errors import UsageError

Bounds = Mapping[str, tuple[float | None, float | None]]


@dataclass(frozen=True, slots=True)
class Coordinate:
    """One parameter.

    Attributes:
        low, high: its bounds, as a parameter.
        size: what a step of 1 is; of a logarithm, 1.
    """

    name: str
    low: float
    high: float
    size: float
    is_log: bool

    def of(self, number: float) -> float:
        """The coordinate of a parameter."""
        return math.log(number) if self.is_log else number / self.size

    def parameter(self, coordinate: float) -> float:
        """The parameter at a coordinate, held within its bounds."""
        number = math.exp(coordinate) if self.is_log else coordinate * self.size
        return min(max(number, self.low), self.high)

    def slope(self, number: float) -> float:
        """d parameter / d coordinate."""
        return number if self.is_log else self.size


def coordinates_of(
    params: Mapping[str, float],
    bounds: Bounds,
    log_scaled: Collection[str],
    scales: Mapping[str, float] | None = None,
) -> list[Coordinate]:
    """A coordinate for each parameter, in their order.

    Raises:
        UsageError: a name among bounds, logarithms and scales is unknown, or its parameter does not keep what is given.
    """
    scales = scales or {}
    if isinstance(log_scaled, str):
        raise UsageError(f"minimize: log_scaled={log_scaled!r} is a text; give names: log_scaled=[{log_scaled!r}]")
    for name in [*bounds, *log_scaled, *scales]:
        if name not in params:
            raise UsageError(f"minimize: {name!r} is not a parameter; there are {', '.join(params)}")
    found = []
    for name, number in params.items():
        low, high = bounds.get(name, (None, None))
        lowest = -math.inf if low is None else float(low)
        highest = math.inf if high is None else float(high)
        if not lowest <= number <= highest:
            raise UsageError(f"minimize: {name}={number!r} is outside of its bounds {lowest:g} to {highest:g}")
        if name in log_scaled and not ((number > 0.0 and lowest >= 0.0) or (lowest == -math.inf and number > 0.0)):
            raise UsageError(f"minimize: {name}={number!r} has no logarithm; leave it out of log_scaled")
        if name in scales and (name in log_scaled or not 0.0 < scales[name] < math.inf):
            raise UsageError(
                f"minimize: scales[{name!r}]={scales[name]!r}; give a positive number, and none where log_scaled has it"
            )
        size = float(scales.get(name, abs(number) or 1.0))
        found.append(Coordinate(name, lowest, highest, size, name in log_scaled))
    return found


def params_at(coordinates: Sequence[Coordinate], at: Sequence[float]) -> dict[str, float]:
    """The parameters at coordinates."""
    return {one.name: one.parameter(place) for one, place in zip(coordinates, at, strict=True)}
