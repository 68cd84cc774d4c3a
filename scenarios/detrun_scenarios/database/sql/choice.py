"""Which plan is taken: the cheapest one, or one that is drawn.

*Exact*: the plan of least cost. Costs that are `Value`s are compared as such, so that a gradient knows where the choice
flips. The time that a query takes is constant between flips: its derivative by a constant of the costs is 0 in one run.

*Drawn*: a plan of cost c is taken with a probability in proportion to ``c ** (-1 / temperature)``, the softmin of the
logarithms of costs. So the unit of costs does not matter, and the mean time of queries has a derivative by the
constants of the costs, which the score of the draw estimates (``kind="policy"``), or trying another outcome
(``"expected"``). At temperature 0.1 a plan of twice the cost is taken once in a thousand times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import detrun
from detrun.ad.value import primal_of
from detrun_scenarios.database.sql.plan import Plan

Choose: TypeAlias = Callable[[Sequence[Plan]], Plan]
LEAST_COST = 1e-9


def cheapest(plans: Sequence[Plan]) -> Plan:
    """The plan of least cost; of equals the first."""
    found = plans[0]
    for one in plans[1:]:
        if one.cost < found.cost:
            found = one
    return found


class Drawn:
    """Draws plans. Draws have keys: the same query of the same one who asks gets the same number in runs that differ.

    Args:
        temperature: see the module.
        name: of the one who asks.
    """

    def __init__(self, temperature: float, name: str) -> None:
        assert temperature > 0.0
        self.temperature = temperature
        self.name = name
        self.drawn = 0

    def __call__(self, plans: Sequence[Plan]) -> Plan:
        """One of the plans."""
        self.drawn += 1
        if len(plans) == 1:
            return plans[0]
        least = max(min(primal_of(one.cost) for one in plans), LEAST_COST)
        weights = [(one.cost / least) ** (-1.0 / self.temperature) for one in plans]
        found: Plan = detrun.choice(plans, weights, key=("plan", self.name, self.drawn))
        return found
