"""`PagedMemory`: the frames of a machine, and the address spaces that share them."""

from __future__ import annotations

from detrun_scenarios.operating_system.memory.address_space import PagedSpace
from detrun_scenarios.operating_system.memory.paging import Paging
from detrun_scenarios.operating_system.memory.settings import MemorySettings
from detrun_scenarios.operating_system.storage.device import BlockDevice


class PagedMemory(Paging):
    """See the module.

    Args:
        space_type: of address spaces; a planted bug is a subclass.
    """

    def __init__(
        self,
        settings: MemorySettings,
        device: BlockDevice,
        cores: int,
        space_type: type[PagedSpace] = PagedSpace,
    ) -> None:
        super().__init__(settings, device, cores)
        self._space_type = space_type
        self._spaces: list[PagedSpace] = []

    def space(self, owner: str, pages: int) -> PagedSpace:
        """A new address space, of which no page is there yet."""
        self._spaces.append(self._space_type(self, owner, len(self._spaces), pages))
        return self._spaces[-1]

    @property
    def major_faults(self) -> int:
        """Page faults that had to read from the disk, of all processes."""
        return sum(space.major_faults for space in self._spaces)

    @property
    def minor_faults(self) -> int:
        """Those that had not."""
        return sum(space.minor_faults for space in self._spaces)

    async def run(self) -> None:
        """The kernel thread that keeps frames free, until cancelled."""
        await self.reclaim.run()

    def check(self) -> None:
        """Fail the run if frames are lost or held twice."""
        self.frames.check()
