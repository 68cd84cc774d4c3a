"""The temperature of a run: how soft the choices of `detrun.relaxed` are. 0: exact.

Module-level as the rest of the state of Values is, since a run owns the process. A relaxed gradient sets it around its
runs; every other run is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from detrun_scheduler.errors import UsageError

current = 0.0
calls = 0  # of functions that asked for the temperature, since it was set


@contextmanager
def temperature_of(number: float) -> Iterator[None]:
    """Set the temperature for the length of a block."""
    global current, calls
    before = current, calls
    current, calls = checked(number), 0
    try:
        yield
    finally:
        current, calls = before


def checked(number: float) -> float:
    """A temperature; raises `UsageError` unless it is finite and not negative."""
    if not isinstance(number, int | float) or not 0.0 <= number < math.inf:
        raise UsageError(f"temperature={number!r} is not valid; give a finite number that is not negative (0: exact)")
    return float(number)


def asked(given: float | None, scale: float) -> float:
    """The temperature for one call: the one that it gives, or else that of the run in units of ``scale``."""
    global calls
    calls += 1
    if given is not None:
        return checked(given)
    return current and current * checked(scale)
