"""The memory of a cache node for one class of objects: least recently used, with a time to live.

Keys stand in the order of their last use. The first of them, as many as there is room for, are kept; an object that
goes leaves its place in the order, as a ghost does. So how far down a key stands tells for every room at once whether
it is kept there (Mattson et al., "Evaluation techniques for storage hierarchies", IBM Systems Journal 9, 1970), and a
soft threshold on it has the derivative by the room. Its temperature is in places. It has to be small beside the room:
what it mixes are the hits of rooms that are so much smaller and larger, and the ratio of hits bends.

An object may be served for ``ttl`` seconds from when it was fetched. Later it is a miss, and keeps its place until it
is fetched again or goes, as in memcached.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import detrun
from detrun import relaxed
from detrun_scenarios.frame.plain import plain

WITHIN_SHARE = "a class keeps to its share of the memory"


@dataclass(slots=True)
class Entry:
    """An object that was fetched.

    Attributes:
        version: of the object.
        fetched: in virtual seconds.
        kept: False for a ghost, of which nothing can be served.
    """

    version: int
    fetched: Any
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a look.

    Attributes:
        entry: to be served; None: a miss.
        hit: 1 or 0, and in between where thresholds are soft.
    """

    entry: Entry | None
    hit: Any


class Memory:
    """Of one class at one node.

    Args:
        room: objects; halves are rounded down.
        ttl: seconds.
    """

    def __init__(self, room: Any, ttl: Any) -> None:
        self.room = room
        self.ttl = ttl
        self.entries: dict[str, Entry] = {}
        self._order: list[str] = []  # the last used first, ghosts included

    def look(self, key: str, now: Any) -> Found:
        """Use a key."""
        place = self._order.index(key) if key in self._order else None
        if place is not None:
            del self._order[place]
        self._order.insert(0, key)
        entry = self.entries.get(key)
        if place is None or entry is None or now - entry.fetched >= self.ttl:
            return Found(None, 0.0)
        return Found(entry if entry.kept else None, relaxed.threshold(self.room, place + 0.5))

    def put(self, key: str, version: int, now: Any) -> None:
        """Keep an object that was fetched now, and let go of what there is no room for."""
        self.entries[key] = Entry(version, now)
        for place, one in enumerate(self._order):
            if place + 0.5 >= self.room and one in self.entries:
                self.entries[one].kept = False
        kept = sum(entry.kept for entry in self.entries.values())
        detrun.always(kept <= plain(self.room) + 0.5, WITHIN_SHARE)
