"""A page that is wanted while it is swapped out is read from its slot, where it has not landed (Gorman 2004, 11)."""

from __future__ import annotations

from detrun_scenarios.operating_system.memory.address_space import PagedSpace


class RefaultRace(PagedSpace):
    """A page is not to be found in memory from the moment at which it goes to the disk."""

    async def swap_out(self, page: int, slot: int, content: int) -> None:
        """See `PagedSpace.swap_out`."""
        del self.leaving[page]  # right: when it has been written
        await self.memory.swap.write(slot, content)
