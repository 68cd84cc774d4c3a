"""A page that is wanted while it is swapped out is read from its slot, where it has not landed (Gorman 2004, 11)."""

from __future__ import annotations

from detrun_scenarios.operating_system.memory.address_space import PagedSpace
from detrun_scenarios.operating_system.memory.frames import Frame


class RefaultRace(PagedSpace):
    """Does not look among the pages that are on their way out."""

    def on_its_way_out(self, page: int) -> Frame | None:
        """See `PagedSpace.on_its_way_out`."""
        return None  # right: self.leaving.get(page)
