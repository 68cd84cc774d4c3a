"""What queueing theory says of the network: the mean delay at given splits, its gradient, and the least delay of all.

Every link is an M/M/1 queue, and by Kleinrock's independence assumption, which the simulation keeps (a packet has a new
length at each link), the network is one of Jackson's. With f the flow of a link and C its capacity the mean number of
packets is ``D = sum f / (C - f)``, and the mean delay is D over the rate of all streams (Little).

Gradients are Gallagher's ("A minimum delay routing algorithm using distributed computation", IEEE Transactions on
Communications 25, 1977): with t the traffic of a router and r the marginal delay behind it,
``dD/dshare(n, m) = t(n) (D'(n, m) + r(m))``. Nothing here is taken from the simulation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module

from detrun_scenarios.studies.routing.network import (
    CAPACITIES,
    DESTINATIONS,
    LINKS,
    ROUTERS,
    STREAMS,
    next_routers,
)

Split = Mapping[tuple[str, str], Mapping[str, float]]
RATE = sum(one.rate for one in STREAMS)


def traffic_of(split: Split) -> dict[tuple[str, str], float]:
    """Packets for each second at every router, for each destination, as ``(router, destination)``."""
    found = {(router, destination): 0.0 for router in ROUTERS for destination in DESTINATIONS}
    for stream in STREAMS:
        found[stream.source, stream.destination] += stream.rate
    for router in reversed(ROUTERS):
        for destination in DESTINATIONS:
            for end, share in split.get((router, destination), {}).items():
                found[end, destination] += found[router, destination] * share
    return found


def flows_of(split: Split) -> dict[tuple[str, str], float]:
    """Packets for each second on every link."""
    traffic = traffic_of(split)
    flows = dict.fromkeys(LINKS, 0.0)
    for (router, destination), shares in split.items():
        for end, share in shares.items():
            flows[router, end] += traffic[router, destination] * share
    return flows


def delay_of(flows: Mapping[tuple[str, str], float]) -> float:
    """The mean seconds of a packet in the network; infinite where a link is asked for more than it can carry."""
    if any(flow >= CAPACITIES[link] for link, flow in flows.items()):
        return math.inf
    return sum(flow / (CAPACITIES[link] - flow) for link, flow in flows.items()) / RATE


def gradient_by_weights(split: Split) -> dict[tuple[str, str], float]:
    """The derivative of the mean delay by the weight of each link, in seconds for each unit of weight.

    Gallagher's marginal delays r, put through the softmin: of a path's weight the next router's share takes
    ``dshare(k)/dx(m) = share(k) (share(m) - [k = m])``, x being weight and cost through m.
    """
    traffic, flows = traffic_of(split), flows_of(split)
    found = dict.fromkeys(LINKS, 0.0)
    for destination in DESTINATIONS:
        marginal = {destination: 0.0}  # of one more packet a second from here
        by_cost = dict.fromkeys(ROUTERS, 0.0)  # of the delay by the cost from here, through routers before it
        routers = [router for router in ROUTERS if (router, destination) in split]
        through = {}
        for router in routers:
            for end in split[router, destination]:
                capacity = CAPACITIES[router, end]
                through[router, end] = capacity / (capacity - flows[router, end]) ** 2 + marginal[end]
            marginal[router] = sum(share * through[router, end] for end, share in split[router, destination].items())
        for router in reversed(routers):
            for end, share in split[router, destination].items():
                shifted = share * traffic[router, destination] * (marginal[router] - through[router, end])
                by_weight = shifted + share * by_cost[router]
                found[router, end] += by_weight
                by_cost[end] += by_weight
    return {link: number / RATE for link, number in found.items()}


def least_delay() -> tuple[float, dict[tuple[str, str], float]]:
    """The minimum of the mean delay over all splits of each stream, with the flows: a convex problem, by scipy."""
    numpy, optimize = import_module("numpy"), import_module("scipy.optimize")
    paths = [(stream, path) for stream in STREAMS for path in _paths(stream.source, stream.destination)]
    on = numpy.array([[link in path for _, path in paths] for link in LINKS], dtype=float)
    of = numpy.array([[one is stream for one, _ in paths] for stream in STREAMS], dtype=float)
    capacity = numpy.array([CAPACITIES[link] for link in LINKS])
    rates = numpy.array([stream.rate for stream in STREAMS])

    def delay(amounts: object) -> tuple[float, object]:
        flows = on @ amounts
        room = capacity - flows
        return float((flows / room).sum()), on.T @ (capacity / room**2)

    found = optimize.minimize(
        delay,
        of.T @ (rates / of.sum(axis=1)),
        jac=True,
        bounds=[(0.0, None)] * len(paths),
        constraints=[
            {"type": "eq", "fun": lambda amounts: of @ amounts - rates, "jac": lambda amounts: of},
            {"type": "ineq", "fun": lambda amounts: 0.999 * capacity - on @ amounts, "jac": lambda amounts: -on},
        ],
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    return float(found.fun) / RATE, dict(zip(LINKS, map(float, on @ found.x), strict=True))


def _paths(source: str, destination: str) -> list[tuple[tuple[str, str], ...]]:
    if source == destination:
        return [()]
    return [((source, end), *rest) for end in next_routers(source, destination) for rest in _paths(end, destination)]
