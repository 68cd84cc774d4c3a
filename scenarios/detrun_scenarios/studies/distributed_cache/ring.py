"""Consistent hashing: each key belongs to the node whose point comes next on a ring.

Every node has many points, so that shares are even, and a node that comes or goes moves the keys of its own arcs alone.
Source: Karger et al., "Consistent hashing and random trees", STOC 1997; many points for each node as in Dynamo
(DeCandia et al., SOSP 2007).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable

POINTS = 64  # of each node


def place(text: str) -> int:
    """Where a text is on the ring; the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


class Ring:
    """The nodes that are there."""

    def __init__(self, nodes: Iterable[str] = ()) -> None:
        self.nodes: list[str] = []
        self._points: list[int] = []
        self._owners: list[str] = []
        for node in nodes:
            self.add(node)

    def add(self, node: str) -> None:
        """A node comes."""
        self._set([*self.nodes, node])

    def remove(self, node: str) -> None:
        """A node goes."""
        self._set([one for one in self.nodes if one != node])

    def owner(self, key: str) -> str:
        """The node that keeps a key."""
        return self._owners[bisect_right(self._points, place(key)) % len(self._points)]

    def _set(self, nodes: list[str]) -> None:
        self.nodes = nodes
        points = sorted((place(f"{node} {number}"), node) for node in nodes for number in range(POINTS))
        self._points = [at for at, _ in points]
        self._owners = [node for _, node in points]
