"""`Links`: which bodies hang together, found by several tasks at once without a lock.

Each body has a parent, at first itself; the end of that chain is the *root* of its island. Two bodies are linked by
making the lower root the parent of the higher one, if that is a root still, and by another try otherwise. Parents are
always lower than their children, so that there are no circles, and the root of an island is its lowest body in
whichever order links were made: the result is the same in every schedule.

Source: Anderson and Woll, "Wait-free parallel algorithms for the union-find problem", STOC 1991; Jolt's
``IslandBuilder::LinkBodies`` does this with threads.
"""

from __future__ import annotations

import trio

import detrun


class Links:
    """See the module."""

    def __init__(self, bodies: int) -> None:
        self.parents = [detrun.Atomic(body, name=f"parent of body {body}") for body in range(bodies)]

    def begin(self) -> None:
        """Every body is alone."""
        for body, parent in enumerate(self.parents):
            parent.store(body)

    def root(self, body: int) -> int:
        """Of the island, as far as links have been made."""
        while (parent := self.parents[body].load()) != body:
            body = parent
        return body

    async def link(self, first: int, second: int) -> None:
        """Let two bodies be in one island. A worker can be pre-empted before each try."""
        while True:
            low, high = sorted((self.root(first), self.root(second)))
            if low == high:
                return
            await trio.lowlevel.checkpoint()
            if self.attach(high, low):
                return

    def attach(self, high: int, low: int) -> bool:
        """Make one root the parent of another; whether that was a root still."""
        attached, _ = self.parents[high].compare_exchange(high, low)
        return attached
