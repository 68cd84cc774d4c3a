"""Delta debugging: taking items out of something that fails, in chunks of halving size, for as long as it still fails.

The caller holds what fails. `ddmin` proposes a chunk of its items; the caller tests the rest, and if that still fails
keeps it instead. A chunk that could go leaves its place to the items behind it, which come next; a chunk that could not
is passed over. After the last chunk the size is halved, down to single items.

Invariants: what the caller holds fails at every moment, so a search may be cut short by an exception and what is held
is its result; the order of the tests is a function of the items and of the answers; and no chunk is proposed twice
while the items are the same. With ``until_minimal`` the result is *1-minimal*: without any one of its items it no
longer fails.

Source: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", IEEE TSE 2002, algorithm ddmin.
Two departures. Only complements are tested, since the complement of one half is the other half, and a failure that
needs few of many items is found by taking out in as many tests. And the search goes on where it is after a success
instead of at the first chunk, which saves the tests of chunks that were refused a moment ago.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def ddmin(
    items: Callable[[], Sequence[Item]],
    remove: Callable[[Sequence[Item]], bool],
    *,
    first_size: int,
    until_minimal: bool = False,
) -> None:
    """Take out what can go.

    Args:
        items: gives what is there now, as hashable items, in an order of the caller's. Items may also change when
            nothing was removed, for instance if what fails is replaced by something else that is as good.
        remove: whether it still fails without these, which are then gone for good.
        first_size: of the first chunks: all items at once, or half of them where that cannot succeed.
        until_minimal: try single items again after one has gone, until none can go. Without it each is tried once
            after the last larger chunk, which is enough where a smaller rest is never more likely to fail.

    Cost: at most ``3 n`` tests that are refused, ``n`` the number of items, and one for each chunk that goes; with
    ``until_minimal`` at most ``n`` more for each single item that goes.
    """
    size = first_size
    known: tuple[Item, ...] = ()
    refused: set[tuple[Item, ...]] = set()  # chunks of ``known`` that cannot go
    while size:
        start = 0
        has_removed = False
        while start < len(now := tuple(items())):
            if now != known:
                known = now
                refused.clear()
            chunk = now[start : start + size]
            if chunk not in refused and remove(chunk):
                has_removed = True
            else:
                refused.add(chunk)
                start += size
        if size > 1 or not (until_minimal and has_removed):
            size //= 2
