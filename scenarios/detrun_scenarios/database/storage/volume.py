"""`Volume`: the pages of a database by number, in one file.

Rule: a page that was written is durable after the next `sync` that begins later. Until then a power loss may leave the
old page, the new one, or a mixture by sectors; a page beyond the end may then be missing, or zeros.
"""

from __future__ import annotations

import errno
import os

from detrun.world.disk.disk import Disk
from detrun.world.disk.files import DiskFile


class Volume:
    """The file of pages on one disk. Made by `open_volume`.

    Attributes:
        pages: how many numbers are in use; the next one is free.
        bytes_written, reads: so far, for losses; a read may be of several pages.
    """

    def __init__(self, file: DiskFile, page_bytes: int, pages: int) -> None:
        self.file = file
        self.page_bytes = page_bytes
        self.pages = pages
        self.bytes_written = 0
        self.reads = 0

    def allocate(self) -> int:
        """The number of a new page. It is on the disk when it is first written."""
        self.pages += 1
        return self.pages - 1

    async def read(self, first: int, count: int = 1) -> list[bytes]:
        """So many pages from a number on, as they are on the disk: empty or short beyond the end of the file."""
        self.reads += 1
        data = await self.file.pread(count * self.page_bytes, first * self.page_bytes)
        return [data[start : start + self.page_bytes] for start in range(0, count * self.page_bytes, self.page_bytes)]

    async def write(self, page_id: int, data: bytes) -> None:
        """Write a page.

        Raises:
            OSError: the disk failed, or is full.
        """
        assert len(data) == self.page_bytes
        self.bytes_written += len(data)
        written = await self.file.pwrite(data, page_id * self.page_bytes)
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.file.name)

    async def sync(self) -> None:
        """Make durable what was written before.

        Raises:
            OSError: EIO; what was written is then unknown, and the server has to end.
        """
        await self.file.fsync()


async def open_volume(disk: Disk, path: str, page_bytes: int) -> Volume:
    """The volume at a path, which is made if it is not there. The directory has to be synced by the caller."""
    is_there = await disk.exists(path)
    file = await disk.open_file(path, "rb+" if is_there else "wb+", buffering=0)
    size = (await disk.stat(path)).st_size
    return Volume(file, page_bytes, -(-size // page_bytes))
