"""`Segments`: the bytes of the log by position, in files of equal size, so that its beginning can be freed.

Position p lies in the file with the number ``p // segment_bytes``. Files follow each other without a gap: they are
freed from the lowest on and cut off from the highest on, each durably before the next; after a crash there may be a
gap only behind what was ever promised, and reading ends there.

Source: PostgreSQL's log is kept in such segments; its own are reused, here they are removed.
"""

from __future__ import annotations

from detrun.world.disk.disk import Disk
from detrun.world.disk.files import DiskFile

SEGMENT_BYTES = 1 << 16


class Segments:
    """See the module. Made by `open_segments`.

    Attributes:
        name: of all files, without their numbers.
    """

    def __init__(self, disk: Disk, name: str, segment_bytes: int) -> None:
        self.disk = disk
        self.name = name
        self.segment_bytes = segment_bytes
        self._files: dict[int, DiskFile] = {}
        self._unsynced: dict[int, None] = {}
        self._is_directory_unsynced = False

    @property
    def begin(self) -> int:
        """The first position that there is a file for; 0 if there is none."""
        return min(self._files, default=0) * self.segment_bytes

    def _path(self, number: int) -> str:
        return f"{self.name}.{number:06}"

    @property
    def _directory(self) -> str:
        return self.name.rpartition("/")[0]

    async def open(self) -> None:
        """Find what is on the disk. A process that was killed may have left any of it unsynced."""
        prefix = self.name.rpartition("/")[2] + "."
        for file in sorted(await self.disk.listdir(self._directory)):
            if file.startswith(prefix):
                path = f"{self._directory}/{file}"
                number = int(file.removeprefix(prefix))
                self._files[number] = await self.disk.open_file(path, "rb+", buffering=0)
                self._unsynced[number] = None
                self._is_directory_unsynced = True

    async def pread(self, size: int, position: int) -> bytes:
        """So many bytes from a position on; fewer where the log ends or is freed."""
        pieces: list[bytes] = []
        while size > 0:
            number, offset = divmod(position, self.segment_bytes)
            file = self._files.get(number)
            if file is None:
                break
            wanted = min(size, self.segment_bytes - offset)
            piece = await file.pread(wanted, offset)
            pieces.append(piece)
            if len(piece) < wanted:
                break
            size, position = size - wanted, position + wanted
        return b"".join(pieces)

    async def pwrite(self, data: bytes, position: int) -> int:
        """Write at a position; how many bytes were written, fewer if the disk is full."""
        written = 0
        while written < len(data):
            number, offset = divmod(position + written, self.segment_bytes)
            if number not in self._files:
                self._files[number] = await self.disk.open_file(self._path(number), "wb+", buffering=0)
                self._is_directory_unsynced = True
            piece = data[written : written + self.segment_bytes - offset]
            self._unsynced[number] = None
            count = await self._files[number].pwrite(piece, offset)
            written += count
            if count < len(piece):
                break
        return written

    async def fsync(self) -> None:
        """Make durable what was written.

        Raises:
            OSError: EIO.
        """
        unsynced, self._unsynced = self._unsynced, {}
        for number in unsynced:
            await self._files[number].fsync()
        if self._is_directory_unsynced:
            self._is_directory_unsynced = False
            await self.disk.fsync_directory(self._directory)

    async def truncate(self, end: int) -> None:
        """Have nothing from a position on. The last file is durable after the next `fsync`."""
        for number in sorted(self._files, reverse=True):
            if number * self.segment_bytes >= end:
                await self._remove(number)
        number, offset = divmod(end, self.segment_bytes)
        if number in self._files:
            await self._files[number].truncate(offset)
            self._unsynced[number] = None

    async def free_before(self, position: int) -> None:
        """Remove, durably, the files that lie before a position."""
        while (lowest := min(self._files, default=None)) is not None and (lowest + 1) * self.segment_bytes <= position:
            await self._remove(lowest)

    async def _remove(self, number: int) -> None:
        # A task may still read it, so that it is not closed here.
        del self._files[number]
        self._unsynced.pop(number, None)
        await self.disk.unlink(self._path(number))
        await self.disk.fsync_directory(self._directory)


async def open_segments(disk: Disk, name: str, segment_bytes: int = SEGMENT_BYTES) -> Segments:
    """The files of that name on a disk, none or more. Their directory is there."""
    found = Segments(disk, name, segment_bytes)
    await found.open()
    return found
