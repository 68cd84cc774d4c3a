"""`EventIndex`: reads and writes of each event by key, and from them the backward slice of a loss.

Every event that writes a key makes a new *version* of it, and reads the versions that the latest writers before it
made. The slice of some keys is the events that made their present versions, the events that made the versions which
those read, and so on: what a loss of these keys cannot depend on is not in it. It is exact for the recorded run, since
what an event touches is noted while it runs, not guessed. The set of keys itself, `STRUCTURE`, is what all its writers
made of it together, so that an event that reads it depends on every one of them.

Keys are numbered by first use. An event costs 16 bytes and 4 for each key that it reads, 8 for each that it writes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from detrun.machines.keyed_state import STRUCTURE


@dataclass(frozen=True, slots=True)
class BackwardSlice:
    """Dependencies of some keys: events in ascending order, and keys of the initial state, in order of first use."""

    events: array[int]
    initial_keys: dict[Any, None]


class EventIndex:
    """Reads and writes of every event, appended in order."""

    def __init__(self) -> None:
        self._number: dict[Any, int] = {}  # inverse of `_keys`
        self._keys: list[Any] = []  # in order of first use
        self._writers: list[array[int]] = []  # by number of the key: the events that wrote it, ascending
        self._reads = array("I")  # numbers of the keys that each event read, one event after the other
        self._read_ends = array("Q", [0])  # event n read reads[read_ends[n]:read_ends[n + 1]]
        self.events = 0

    def append(self, read: Iterable[Any], wrote: Iterable[Any]) -> None:
        """The next event read and wrote these keys."""
        for key in read:
            self._reads.append(self._numbered(key))
        self._read_ends.append(len(self._reads))
        for key in wrote:
            self._writers[self._numbered(key)].append(self.events)
        self.events += 1

    def backward_slice(self, keys: Iterable[Any]) -> BackwardSlice:
        """Everything that the present versions of ``keys`` depend on. Costs the size of the slice, times log n."""
        in_slice: set[int] = set()
        initial: dict[Any, None] = {}
        waiting: list[int] = []

        def need(number: int, before: int) -> None:
            writers = self._writers[number]
            place = bisect_left(writers, before)
            of_all = self._keys[number] is STRUCTURE
            if place == 0 or of_all:
                initial[self._keys[number]] = None
            for event in writers[:place] if of_all else writers[place - 1 : place] if place else ():
                if event not in in_slice:
                    in_slice.add(event)
                    waiting.append(event)

        for key in keys:
            need(self._numbered(key), self.events)
        while waiting:
            event = waiting.pop()
            for number in self._read_by(event):
                need(number, event)
        return BackwardSlice(array("Q", sorted(in_slice)), initial)

    def _check(self) -> None:
        """Every structural invariant; called by stress tests, never in production."""
        assert self._number == {key: place for place, key in enumerate(self._keys)}
        assert len(self._writers) == len(self._keys)
        for writers in self._writers:
            assert all(one < other for one, other in pairwise(writers))
            assert not writers or writers[-1] < self.events
        assert len(self._read_ends) == self.events + 1
        assert list(self._read_ends) == sorted(self._read_ends)
        assert self._read_ends[-1] == len(self._reads)
        assert all(number < len(self._keys) for number in self._reads)

    def _read_by(self, event: int) -> array[int]:
        return self._reads[self._read_ends[event] : self._read_ends[event + 1]]

    def _numbered(self, key: Any) -> int:
        number = self._number.get(key)
        if number is None:
            number = self._number[key] = len(self._keys)
            self._keys.append(key)
            self._writers.append(array("Q"))
        return number
