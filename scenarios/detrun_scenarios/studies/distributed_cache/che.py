"""Che's approximation: the hit ratio of a least-recently-used cache of so many objects, and its derivative.

An object stays for a time T that is nearly the same for all: the one at which the expected number of objects asked for
within T is the room, ``sum 1 - exp(-rate T) = room``. A request is a hit with the probability that its object was asked
for within T (Che, Tung and Wang, "Hierarchical web caching systems", IEEE Journal on Selected Areas in Communications
20, 2002; Fricker, Robert and Roberts, "A versatile and accurate approximation for LRU cache performance", ITC 2012, say
why it is so good). The derivative by the room is that of the implicit function:
``sum rate**2 exp(-rate T) / sum rate exp(-rate T)`` over the rate of all.

With no bound on the room and a time to live of t seconds from the fetch on, an object is a hit with probability
``rate t / (1 + rate t)``: of each fetch and the requests within t after it, one is a miss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def characteristic_time(rates: Sequence[float], room: float) -> float:
    """T in seconds, by bisection; infinite where there is room for all."""
    if room >= len(rates):
        return math.inf
    low, high = 0.0, 1.0
    while _expected(rates, high) < room:
        high *= 2.0
    for _ in range(100):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _expected(rates, middle) < room else (low, middle)
    return high


def hit_ratio(rates: Sequence[float], room: float) -> float:
    """The share of requests that are hits.

    Args:
        rates: requests for each object in a second.
        room: objects that are kept.
    """
    until = characteristic_time(rates, room)
    return math.fsum(rate * -math.expm1(-rate * until) for rate in rates) / math.fsum(rates)


def hit_ratio_by_room(rates: Sequence[float], room: float) -> float:
    """The derivative of `hit_ratio` by the room, for each object."""
    until = characteristic_time(rates, room)
    if math.isinf(until):
        return 0.0
    terms = [rate * math.exp(-rate * until) for rate in rates]
    of_time = math.fsum(rate * term for rate, term in zip(rates, terms, strict=True))
    return of_time / math.fsum(terms) / math.fsum(rates)


def hit_ratio_of_ttl(rates: Sequence[float], ttl: float) -> float:
    """The share of hits where nothing is evicted before its time to live is over."""
    return math.fsum(rate * rate * ttl / (1.0 + rate * ttl) for rate in rates) / math.fsum(rates)


def _expected(rates: Sequence[float], seconds: float) -> float:
    return math.fsum(-math.expm1(-rate * seconds) for rate in rates)
