"""The network: routers, links with their capacities, and the streams of packets that cross it.

    west ──── upper ──── north
       ╲        │       ╱
         ──── middle ──
       ╱        │       ╲
    south ─── lower ──── east

Links lead from left to right and towards the middle. They make no circle, so each may be used for every destination
that can be reached behind it, and a packet passes a router once at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CAPACITIES: Mapping[tuple[str, str], float] = {
    ("west", "upper"): 50.0,
    ("west", "middle"): 50.0,
    ("south", "middle"): 30.0,
    ("south", "lower"): 50.0,
    ("upper", "north"): 36.0,
    ("upper", "middle"): 25.0,
    ("lower", "middle"): 25.0,
    ("lower", "east"): 36.0,
    ("middle", "north"): 32.0,
    ("middle", "east"): 25.0,
}
"""Packets for each second, of every link in the order of its routers."""

LINKS = tuple(CAPACITIES)


@dataclass(frozen=True, slots=True)
class Stream:
    """Packets that enter at one router and leave at another.

    Attributes:
        rate: packets for each second.
    """

    source: str
    destination: str
    rate: float


STREAMS = (
    Stream("west", "north", 31.0),
    Stream("west", "east", 7.0),
    Stream("south", "north", 8.0),
    Stream("south", "east", 26.0),
)
DESTINATIONS = tuple(dict.fromkeys(one.destination for one in STREAMS))


def name_of(link: tuple[str, str]) -> str:
    """Of the parameter that is the link's weight."""
    return "_".join(link)


def next_routers(router: str, destination: str) -> tuple[str, ...]:
    """Where a packet may go from here, in the order of `LINKS`."""
    return tuple(
        end for begin, end in LINKS if begin == router and (end == destination or next_routers(end, destination))
    )


ROUTERS = ("north", "east", "middle", "upper", "lower", "west", "south")
"""Each behind all to which its links lead."""
