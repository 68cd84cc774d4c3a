"""`Entries`: values by key, each with the moment when it was fetched; the least recently used leave when it is full.

An entry is *fresh* for as long as its time to live says, then *stale* for a while, in which it may still be served, and
then gone. That there is nothing under a key is kept as an entry, too, for a shorter time ("negative caching"), so that
questions for what is not there do not all go to the database.

Source: RFC 9111, 4.2 (freshness), RFC 5861 (stale-while-revalidate, stale-if-error), RFC 2308 (negative entries).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import trio

from detrun.ad.value import primal_of
from detrun_scenarios.web_server.settings import Settings

NEGATIVE_SHARE = 0.1  # of the time to live, for which it is kept that there is nothing

Age: TypeAlias = Literal["fresh", "stale", "gone"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What was fetched; `value` is None where there was nothing under the key."""

    value: str | None
    fetched_at: Any


class Entries:
    """See the module.

    Args:
        settings: `ttl`, `stale_seconds` and `cache_size`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._by_key: OrderedDict[str, Entry] = OrderedDict()  # the least recently used first

    def __len__(self) -> int:
        return len(self._by_key)

    def look_up(self, key: str) -> tuple[str | None, Age]:
        """The value that is kept under a key, and what it is good for. It counts as used."""
        entry = self._by_key.get(key)
        if entry is None:
            return None, "gone"
        age = self._age(entry)
        if age == "gone":
            del self._by_key[key]
        else:
            self._by_key.move_to_end(key)
        return entry.value, age

    def put(self, key: str, value: str | None) -> None:
        """Keep what has just been fetched."""
        self._by_key[key] = Entry(value, trio.current_time())
        self._by_key.move_to_end(key)
        while len(self._by_key) > primal_of(self.settings.cache_size):
            self._by_key.popitem(last=False)

    def forget(self, key: str) -> None:
        """What is kept under this key is out of date."""
        self._by_key.pop(key, None)

    def _age(self, entry: Entry) -> Age:
        age = trio.current_time() - entry.fetched_at
        fresh = self.settings.ttl * (NEGATIVE_SHARE if entry.value is None else 1.0)
        if age < fresh:
            return "fresh"
        return "stale" if age < fresh + self.settings.stale_seconds else "gone"
