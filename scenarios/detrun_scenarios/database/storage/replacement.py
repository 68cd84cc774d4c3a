"""Which page leaves memory when another one needs its place: LRU, CLOCK, LRU-2.

A policy knows the pages of one part of the pool. It is told of every use, and proposes a victim among those that may
go; the pool says which may. All are deterministic, and none has a notion of time but the order of uses.

Sources: Corbató, "A paging experiment with the Multics system", 1968 (CLOCK); O'Neil, O'Neil and Weikum, "The LRU-K
page replacement algorithm for database disk buffering", SIGMOD 1993 (LRU-2, with their retained history; uses of one
page that follow each other at once count as one, which stands for their correlated reference period).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, TypeAlias

from sortedcontainers import SortedDict

PolicyName: TypeAlias = Literal["lru", "clock", "lru2"]

RETAINED_MAX = 256  # pages that LRU-2 remembers after they have left


class Replacement(ABC):
    """A policy."""

    @abstractmethod
    def touched(self, page_id: int) -> None:
        """A page was used; it is in the pool from now on."""

    @abstractmethod
    def victim(self, may_go: Callable[[int], bool]) -> int | None:
        """The page to go next, of those that may; None if none may. It is still there until `dropped`."""

    @abstractmethod
    def dropped(self, page_id: int) -> None:
        """A page has left the pool."""


class LeastRecentlyUsed(Replacement):
    """The page whose last use is longest ago goes. Cost of a use: constant."""

    def __init__(self) -> None:
        self._pages: dict[int, None] = {}  # the least recently used first

    def touched(self, page_id: int) -> None:
        """See `Replacement`."""
        self._pages.pop(page_id, None)
        self._pages[page_id] = None

    def victim(self, may_go: Callable[[int], bool]) -> int | None:
        """See `Replacement`."""
        return next((page_id for page_id in self._pages if may_go(page_id)), None)

    def dropped(self, page_id: int) -> None:
        """See `Replacement`."""
        self._pages.pop(page_id, None)


class Clock(Replacement):
    """A hand goes round; a page that was used since it came by last stays for another round."""

    def __init__(self) -> None:
        self._pages: list[int] = []
        self._was_used: dict[int, bool] = {}
        self._hand = 0

    def touched(self, page_id: int) -> None:
        """See `Replacement`."""
        if page_id not in self._was_used:
            self._pages.insert(self._hand, page_id)  # just behind the hand, which comes to it last
            self._hand += 1
        self._was_used[page_id] = True

    def victim(self, may_go: Callable[[int], bool]) -> int | None:
        """See `Replacement`."""
        # Two rounds: the first may do nothing but take marks away.
        for _ in range(2 * len(self._pages)):
            self._hand %= len(self._pages)
            page_id = self._pages[self._hand]
            if may_go(page_id):
                if not self._was_used[page_id]:
                    return page_id
                self._was_used[page_id] = False
            self._hand += 1
        return None

    def dropped(self, page_id: int) -> None:
        """See `Replacement`."""
        if self._was_used.pop(page_id, None) is None:
            return
        place = self._pages.index(page_id)
        del self._pages[place]
        if place < self._hand:
            self._hand -= 1


class LruTwo(Replacement):
    """The page whose use before the last is longest ago goes; one that was used once goes before all others.

    A scan touches its pages once, and they do not drive out those that are used again and again.
    """

    def __init__(self) -> None:
        self._now = 0
        self._uses: dict[int, tuple[int, int]] = {}  # page -> its use before the last (0 for none), its last use
        self._order: SortedDict[tuple[int, int], int] = SortedDict()  # the same of pages in the pool -> page
        self._retained: dict[int, None] = {}
        self._latest: int | None = None

    def touched(self, page_id: int) -> None:
        """See `Replacement`."""
        self._now += 1
        before, last = self._uses.get(page_id, (0, 0))
        self._order.pop((before, last), None)
        self._retained.pop(page_id, None)
        use = (before if page_id == self._latest else last, self._now)
        self._latest = page_id
        self._uses[page_id] = use
        self._order[use] = page_id

    def victim(self, may_go: Callable[[int], bool]) -> int | None:
        """See `Replacement`."""
        return next((page_id for page_id in self._order.values() if may_go(page_id)), None)

    def dropped(self, page_id: int) -> None:
        """See `Replacement`."""
        if self._order.pop(self._uses.get(page_id, (0, 0)), None) is None:
            return
        self._retained[page_id] = None
        if len(self._retained) > RETAINED_MAX:
            forgotten = next(iter(self._retained))
            del self._retained[forgotten], self._uses[forgotten]


POLICIES: dict[PolicyName, type[Replacement]] = {"lru": LeastRecentlyUsed, "clock": Clock, "lru2": LruTwo}
