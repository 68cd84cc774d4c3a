"""`Network`: two layers from what a policy looks at to a score; its weights are parameters of the scenario.

Each unit of the first layer is the hyperbolic tangent of a weighted sum of the sights, and the score is a weighted sum
of the units.

As it is shipped the second layer is 0, so that the network changes nothing, and the first has weights that were drawn
once: with zeros in both no weight would have a derivative. The width of the draw is that of Glorot and Bengio,
"Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010, equation 16.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import detrun
from detrun_scenarios.robot.linear.matrices import applied, inner

UNITS: Final = 4
SIGHTS: Final = ("curvature", "closeness", "doubt", "lateness", "bias")


class Network(NamedTuple):
    """Weights, each a float or a Value.

    Attributes:
        first: a row for each unit, with a weight for each of `SIGHTS`.
        second: a weight for each unit.
    """

    first: list[list[Any]]
    second: list[Any]

    def score(self, sights: Sequence[Any]) -> Any:
        """What the network makes of what is looked at, in the order of `SIGHTS`."""
        return inner(self.second, [detrun.tanh(one) for one in applied(self.first, sights)])


def shipped_weights() -> dict[str, float]:
    """The defaults by name: ``"doubt_to_2"`` from a sight to a unit, ``"unit_2"`` from a unit to the score."""
    drawn = random.Random(7)
    width = (6.0 / (len(SIGHTS) + UNITS)) ** 0.5
    first = {f"{sight}_to_{unit}": round(drawn.uniform(-width, width), 2) for unit in range(UNITS) for sight in SIGHTS}
    return {**first, **{f"unit_{unit}": 0.0 for unit in range(UNITS)}}


def network_of(params: Mapping[str, Any]) -> Network:
    """The network whose weights these parameters are."""
    first = [[params[f"{sight}_to_{unit}"] for sight in SIGHTS] for unit in range(UNITS)]
    return Network(first, [params[f"unit_{unit}"] for unit in range(UNITS)])
