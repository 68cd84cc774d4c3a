"""The tape: one entry per id, so that an entry's place is its id minus the first id of the tape.

An entry is four numbers in one flat list: ``left, right, left_partial, right_partial``. ``left`` and ``right`` are ids
of parents; a leaf has ``left = NO_PARENT``, a unary entry has ``right = NO_PARENT``, a wide entry has ``left = WIDE``
and in ``right`` its place in ``wide``, where any number of parents lie beside their partials or beside a pullback.

Why one list and not four arrays: one ``list.extend`` of a tuple costs a third of four ``array.append``, and the sweep
reads the list backward without making a number object for each cell (November 2026, CPython 3.11, two cores: 0.63
against 0.84 microseconds for the forward half of a multiply-add). The price is the number objects that the list keeps
alive: see the bytes per entry that ``benchmarks/scalar_tape.py`` prints.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from detrun.ad.sites import Sites

NO_PARENT = -1
WIDE = -2
CELLS = 4

# Takes the adjoint of the result; gives one adjoint per parent, in the order of the parents.
Pullback = Callable[[Any], Iterable[Any]]
Partials = Sequence[float]


class Tape:
    """Entries with ids ``first_id, first_id + 1, …``, and what was noted beside them.

    Attributes:
        first_id: id of the first entry; parents may have smaller ids, which belong to earlier windows.
        entries: the flat list described above; ``extend`` of it is called from `Value` directly.
        wide: ``(parents, partials)`` or ``(parents, pullback)`` for entries with more than two parents.
        singular: id -> (operation, source line) where a partial was infinite or undefined when recorded.
        sites: the discontinuity sites passed while this tape was on.
        detachments: (file, line) -> how often user code took the bare number out of a `Value` there.
        partial_tangents: id -> tangents of each partial; filled only in forward-over-reverse (`second_order`).
    """

    __slots__ = (
        "_mark_ids",
        "_mark_steps",
        "detachments",
        "entries",
        "first_id",
        "partial_tangents",
        "singular",
        "sites",
        "wide",
    )

    def __init__(self, first_id: int = 0) -> None:
        self.first_id = first_id
        self.entries: list[Any] = []
        self.wide: list[tuple[Sequence[int], Partials | Pullback]] = []
        self.singular: dict[int, tuple[str, str]] = {}
        self.sites = Sites()
        self.detachments: dict[tuple[str, int], int] = {}
        self.partial_tangents: dict[int, tuple[tuple[float, ...], ...]] = {}
        self._mark_ids: list[int] = []
        self._mark_steps: list[int] = []

    def __len__(self) -> int:
        return len(self.entries) // CELLS

    @property
    def end_id(self) -> int:
        """One more than the id of the last entry."""
        return self.first_id + len(self.entries) // CELLS

    def add_wide(self, parents: Sequence[int], partials: Partials | Pullback) -> None:
        """Append an entry with any number of parents; the caller allots its id just before or after."""
        self.entries.extend((WIDE, len(self.wide), 0.0, 0.0))
        self.wide.append((parents, partials))

    def parents_of(self, entry_id: int) -> tuple[Sequence[int], Partials | Pullback]:
        """Parents of an entry with their partials, or with the pullback. For reports and for slow, generic sweeps."""
        place = (entry_id - self.first_id) * CELLS
        left, right, left_partial, right_partial = self.entries[place : place + CELLS]
        if left == WIDE:
            wide: tuple[Sequence[int], Partials | Pullback] = self.wide[right]
            return wide
        if left == NO_PARENT:
            return (), ()
        if right == NO_PARENT:
            return (left,), (left_partial,)
        return (left, right), (left_partial, right_partial)

    def uses(self, entry_id: int) -> bool:
        """Whether any entry has ``entry_id`` for a parent, or any site compared it. Takes time linear in the tape."""
        if any(entry_id in (margin.left_id, margin.right_id) for site in self.sites for margin in site.nearest):
            return True
        if any(entry_id in parents for parents, _ in self.wide):
            return True
        cells = self.entries
        return any(
            cells[place] == entry_id or (cells[place + 1] == entry_id and cells[place] != WIDE)
            for place in range(0, len(cells), CELLS)
        )

    def mark(self, step: int) -> None:
        """Note that entries from here on belong to scheduler step ``step``. Steps must not decrease.

        A step that records nothing leaves no trace, so marks never outnumber entries.
        """
        first_id = self.end_id
        if self._mark_ids and self._mark_ids[-1] == first_id:
            self._mark_steps[-1] = step
        else:
            self._mark_ids.append(first_id)
            self._mark_steps.append(step)

    def step_of(self, entry_id: int) -> int | None:
        """The scheduler step that recorded an entry; ``None`` before the first mark or outside the tape."""
        if not self.first_id <= entry_id < self.end_id:
            return None
        place = bisect_right(self._mark_ids, entry_id)
        return self._mark_steps[place - 1] if place else None

    def _check(self) -> None:
        """Every structural invariant; called by stress tests, never in production."""
        assert len(self.entries) % CELLS == 0
        wide_seen = 0
        for entry_id in range(self.first_id, self.end_id):
            place = (entry_id - self.first_id) * CELLS
            if self.entries[place] == WIDE:
                assert self.entries[place + 1] == wide_seen, (entry_id, wide_seen)
                wide_seen += 1
            for parent in self.parents_of(entry_id)[0]:
                assert 0 <= parent < entry_id, f"entry {entry_id} has the later parent {parent}"
        assert wide_seen == len(self.wide)
        assert self._mark_ids == sorted(self._mark_ids)
        assert self._mark_steps == sorted(self._mark_steps)
