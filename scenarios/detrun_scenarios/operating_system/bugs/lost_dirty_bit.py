"""A page that changes while it is written to the disk counts as clean afterwards, and the change never gets there.

The same error was in Linux until 2.6.20: Torvalds, "VM: Fix nasty and subtle race in shared mmap'ed page writeback",
commit 7658cc2, December 2006.
"""

from __future__ import annotations

from detrun_scenarios.operating_system.files.write_back import Key, WriteBack


class LostDirtyBit(WriteBack):
    """Takes the dirty mark away when the page is on the disk."""

    async def write_run(self, run: list[Key]) -> None:
        """See `WriteBack.write_run`."""
        await self.put_on_disk(run)
        self.clean(run)  # right: before it is put on the disk
        self.finish(run)
