"""Small files that say where to begin: each is replaced as a whole, durably, by a rename."""

from __future__ import annotations

import struct
import zlib

from detrun.world.disk.disk import Disk

_CHECKSUM = struct.Struct("<I")


class DamagedFileError(Exception):
    """A file is not what was written, which no crash does."""


async def save(disk: Disk, path: str, data: bytes) -> None:
    """Have a file with these bytes, whatever it had before; durable when this returns."""
    async with await disk.open_file(f"{path}.new", "wb", buffering=0) as file:
        await file.write(_CHECKSUM.pack(zlib.crc32(data)) + data)
        await file.fsync()
    await disk.rename(f"{path}.new", path)
    await disk.fsync_directory(path.rpartition("/")[0])


async def load(disk: Disk, path: str) -> bytes | None:
    """What was saved; None if nothing was.

    Raises:
        DamagedFileError: see there.
    """
    if not await disk.exists(path):
        return None
    data = await disk.path(path).read_bytes()
    if len(data) < _CHECKSUM.size or zlib.crc32(data[_CHECKSUM.size :]) != _CHECKSUM.unpack_from(data)[0]:
        raise DamagedFileError(f"{path} on disk {disk.name} is damaged")
    return data[_CHECKSUM.size :]
