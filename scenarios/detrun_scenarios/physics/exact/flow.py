"""`Flow`: how a state moves between events, and `Guard`: what ends that.

Both are functions of a state and of constants, each a named tuple of numbers, and keep nothing. So the motion can be
planned on plain numbers, and carried out again on Values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import detrun
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.physics.exact.runge_kutta import Numbers, remade


@dataclass(frozen=True, slots=True)
class Flow:
    """A smooth motion.

    Attributes:
        slope_of: the derivative of a state by time, by the state and the constants.
        constants: masses, lengths, coefficients, parameters.
    """

    slope_of: Callable[[Any, Any], Numbers]
    constants: Any

    def slope(self, state: Any) -> Numbers:
        """The derivative of the state by time, in the units of the state for each second."""
        return self.slope_of(state, self.constants)

    def on_plain_numbers(self) -> Flow:
        """The same motion without derivatives."""
        return replace(self, constants=plain_numbers(self.constants))


@dataclass(frozen=True, slots=True)
class Guard:
    """A number that is positive until something happens.

    Attributes:
        name: of the event.
        margin: the number, by the state and the constants.
        rate: its derivative by time, by the state, the slope there and the constants.
    """

    name: str
    margin: Callable[[Any, Any], Any]
    rate: Callable[[Any, Numbers, Any], Any]


def plain_numbers(state: Any) -> Any:
    """A named tuple with its plain numbers."""
    return remade(state, [plain(one) for one in state])


def has_values(*states: Any) -> bool:
    """Whether a derivative may flow through any number of these named tuples."""
    return any(isinstance(one, detrun.Value) for state in states for one in state)
