"""The log of one server: entries by index, of which the oldest may have given way to a snapshot.

Indices begin with 1. Entries up to ``base_index`` are gone; of the last of them the term is known. At index 0 there is
an entry of term 0 that all servers share.

Invariant: terms never fall from one index to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from detrun_scenarios.consensus.core.entries import Entry


class Log:
    """Entries ``base_index + 1 .. last_index``."""

    __slots__ = ("base_index", "base_term", "entries")

    def __init__(self, entries: Iterable[Entry] = (), base_index: int = 0, base_term: int = 0) -> None:
        self.entries = list(entries)
        self.base_index = base_index
        self.base_term = base_term

    @property
    def last_index(self) -> int:
        """The index of the last entry."""
        return self.base_index + len(self.entries)

    @property
    def last_term(self) -> int:
        """The term of the last entry."""
        return self.entries[-1].term if self.entries else self.base_term

    def term_at(self, index: int) -> int | None:
        """The term of the entry at ``index``; None if there is none, or if it is not known any more."""
        if index == self.base_index:
            return self.base_term
        if self.base_index < index <= self.last_index:
            return self.entries[index - self.base_index - 1].term
        return None

    def __getitem__(self, index: int) -> Entry:
        if not self.base_index < index <= self.last_index:
            raise IndexError(f"the log has entries {self.base_index + 1} to {self.last_index}, and none at {index}")
        return self.entries[index - self.base_index - 1]

    def slice(self, first: int, last: int) -> tuple[Entry, ...]:
        """The entries from ``first`` to ``last``, both included."""
        return tuple(self.entries[first - self.base_index - 1 : last - self.base_index])

    def append(self, entry: Entry) -> int:
        """Add an entry; its index."""
        self.entries.append(entry)
        return self.last_index

    def truncate_from(self, index: int) -> None:
        """Take away the entry at ``index`` and all behind it."""
        del self.entries[index - self.base_index - 1 :]

    def compact(self, index: int, term: int) -> None:
        """Take away the entries up to ``index``; all of them, if the one at ``index`` is not of ``term``."""
        if self.term_at(index) == term:
            del self.entries[: index - self.base_index]
        else:
            self.entries.clear()
        self.base_index, self.base_term = index, term

    def last_index_of_term_below(self, term: int, start: int) -> int:
        """The last index up to ``start`` whose entry has a term below ``term``, or the base."""
        index = min(start, self.last_index)
        while index > self.base_index and self.entries[index - self.base_index - 1].term >= term:
            index -= 1
        return index

    def numbered(self) -> Iterator[tuple[int, Entry]]:
        """The entries with their indices."""
        return enumerate(self.entries, self.base_index + 1)

    def _check(self) -> None:
        """Assert the invariant; for tests."""
        terms = [self.base_term, *(entry.term for entry in self.entries)]
        assert terms == sorted(terms), f"terms fall: {terms}"
