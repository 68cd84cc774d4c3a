"""Which transactions clients ask for, and with what arguments: TPC-C's mix, and a skewed mix of reads.

Sources: TPC Benchmark C, clause 5.2.3 (shares of the transactions); Gray et al., "Quickly generating billion-record
synthetic databases", SIGMOD 1994 (keys by Zipf's law).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import detrun
from detrun_scenarios.database.workload.terminals import Ask
from detrun_scenarios.database.workload.tpcc import Scale

SHARES = {"new_order": 0.45, "payment": 0.43, "order_status": 0.04, "delivery": 0.04, "stock_level": 0.04}
EVEN_SHARES = {"new_order": 0.35, "payment": 0.25, "order_status": 0.1, "delivery": 0.2, "stock_level": 0.1}
REFUSED_SHARE = 0.01  # of the new orders, that ask for an item that there is not


def tpcc_mix(scale: Scale, shares: Mapping[str, float], lines_max: int) -> Ask:
    """Transactions of the supplier.

    Args:
        lines_max: of an order.
    """
    names, weights = list(shares), list(shares.values())

    def below(count: int) -> int:
        return 1 + int(detrun.choice(count))

    def ask(client: str, number: int) -> tuple[str, list[Any]]:
        name: str = detrun.choice(names, weights)
        w, d, c = below(scale.warehouses), below(scale.districts), below(scale.customers)
        match name:
            case "new_order":
                items = sorted({below(scale.items) for _ in range(below(lines_max))})
                lines = [[i, below(10)] for i in items]
                if detrun.bernoulli(REFUSED_SHARE):
                    lines[-1][0] = scale.items + 1
                return name, [w, d, c, lines]
            case "payment":
                return name, [client, number, w, d, c, below(100)]
            case "order_status":
                return name, [w, d, c]
            case "delivery":
                return name, [w, scale.districts, below(10)]
            case _:
                return name, [w, d, 5, 30]

    return ask
