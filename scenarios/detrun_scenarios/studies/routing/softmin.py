"""Softmin routing: each router sends a packet on by the weights of links, at random.

The cost from a router n to a destination d is a soft minimum over next routers, and the share of each is the share of
its term::

    cost(n) = -log sum_m exp(-(weight(n, m) + cost(m)))
    share(n, m) = exp(cost(n) - weight(n, m) - cost(m))

So a path is taken with a probability in proportion to exp(-its weight). Minimum-delay routing can be had in this way by
some weights (Xu, Chiang and Rexford, "Link-state routing with hop-by-hop forwarding can achieve optimal traffic
engineering", IEEE/ACM Transactions on Networking 19, 2011); the assignment is that of Dial (Transportation Research 5,
1971). Where all weights are large the least path is taken, as in OSPF.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import detrun
from detrun_scenarios.studies.routing.network import DESTINATIONS, LINKS, ROUTERS, name_of, next_routers

Shares = Mapping[tuple[str, str], Mapping[str, Any]]  # (router, destination) -> next router -> its share


def weights_of(params: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """The weight of each link."""
    return {link: params[name_of(link)] for link in LINKS}


def shares_of(weights: Mapping[tuple[str, str], Any]) -> Shares:
    """How packets are divided at each router, for each destination that can be reached from it."""
    found = {}
    for destination in DESTINATIONS:
        costs: dict[str, Any] = {destination: 0.0}
        for router in ROUTERS:
            ends = next_routers(router, destination)
            if not ends or router == destination:
                continue
            through = {end: weights[router, end] + costs[end] for end in ends}
            least = -detrun.logsumexp([-one for one in through.values()])
            costs[router] = least
            found[router, destination] = {end: detrun.exp(least - one) for end, one in through.items()}
    return found
