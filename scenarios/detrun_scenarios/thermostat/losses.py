"""What the meter adds up at each of its turns: the squared distance from the set point, and the squared power."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import detrun

SET_POINT = 21.0  # degrees

Cost = Callable[[detrun.Atomic[Any], detrun.Atomic[Any]], Any]  # of the temperature and the power


def squared_error(temperature: detrun.Atomic[Any], power: detrun.Atomic[Any]) -> Any:
    """Square degrees."""
    error = temperature.load() - SET_POINT
    return error * error


def effort(temperature: detrun.Atomic[Any], power: detrun.Atomic[Any]) -> Any:
    """The square of the power, which is in degrees a turn."""
    now = power.load()
    return now * now


COSTS: Mapping[str, Cost] = {"squared_error": squared_error, "effort": effort}
