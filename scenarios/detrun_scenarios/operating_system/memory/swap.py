"""`SwapArea`: a region of the disk for pages that have no file. A page keeps its slot until its process ends."""

from __future__ import annotations

from collections import deque

from detrun_scenarios.operating_system.storage.device import BlockDevice

SWAPPER = "kswapd"  # owner of what is written, in the eyes of the elevator


class SwapArea:
    """See the module. Slots are given out in order, so that pages that leave together lie together."""

    def __init__(self, device: BlockDevice, slots: int) -> None:
        self.device = device
        self.slots = slots
        self._free = deque(range(slots))

    @property
    def free(self) -> int:
        """Slots that are free."""
        return len(self._free)

    def take(self) -> int:
        """A slot."""
        if not self._free:
            raise MemoryError(f"all {self.slots} slots of the swap area are taken; make it larger (swap_pages)")
        return self._free.popleft()

    def put(self, slot: int) -> None:
        """A slot is free."""
        self._free.append(slot)

    async def write(self, slot: int, content: int) -> None:
        """Return when the page is on the disk."""
        await self.device.write(slot, [content], SWAPPER)

    async def read(self, slot: int, owner: str) -> int:
        """What was written to the slot last."""
        return (await self.device.read(slot, 1, owner))[0]
