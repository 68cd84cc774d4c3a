"""What a run costs: each loss a number of what browsers found, and of what the upstream service was asked.

- ``mean_latency``: mean seconds until a good answer; a request that gets none counts as long as its browser's patience.
- ``p99_latency``: the 99th percentile of the same in a run.
- ``quote_latency``: the mean of ``mean_latency``'s seconds over quotes alone.
- ``order_latency``: the same of orders alone.
- ``lost_goodput``: the share of requests without a good answer, refusals included.
- ``upstream_load``: requests that the upstream service has begun, for each quote that was asked for. A count.
- ``database_load``: questions to the database, for each item or order that was asked for. A count.

A softened run takes off ``order_latency`` what more room in the pool would have spared (`resilience.seats`). That
counts all who waited for the pool: orders alone in the workload of this loss, requests for items, too, in any other.
"""

from __future__ import annotations

from typing import Any

import detrun
from detrun_scenarios.frame.measured import mean, quantile
from detrun_scenarios.web_server.site import Site
from detrun_scenarios.web_server.workload.browsers import Browsers


def losses_of(site: Site, browsers: Browsers) -> dict[str, Any]:
    """All losses of a run; 0 for one that nothing was measured for."""
    outcomes = browsers.outcomes
    seconds = [one.seconds if one.status == 200 else browsers.patience for one in outcomes]
    spared = detrun.sum(stack.pool.seats.spared for stack in site.web.stacks)
    of_kinds: dict[str, list[Any]] = {"item": [], "quote": [], "order": []}
    for took, one in zip(seconds, outcomes, strict=True):
        of_kinds[one.kind].append(took)
    quotes, orders = len(of_kinds["quote"]), len(of_kinds["order"])
    return {
        "mean_latency": mean(seconds),
        "quote_latency": mean(of_kinds["quote"]),
        "order_latency": mean(of_kinds["order"]) - spared / max(orders, 1),
        "p99_latency": quantile(seconds, 0.99),
        "lost_goodput": mean([float(one.status != 200) for one in outcomes]),
        "upstream_load": site.upstream.served / quotes if quotes else 0.0,
        "database_load": site.database.asked / max(len(outcomes) - quotes, 1),
    }
