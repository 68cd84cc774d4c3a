"""`DiskPath`: a path on a simulated disk, with the methods of ``trio.Path`` that a program with files needs.

Joining and taking apart is ``pathlib``'s; whatever asks the disk is async. Two paths are equal if their parts and their
disks are.
"""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detrun.world.disk import Disk
    from detrun.world.file_system import Status
    from detrun.world.files import DiskFile


class DiskPath:
    """Made by `Disk.path`."""

    __slots__ = ("disk", "pure")

    def __init__(self, disk: Disk, *parts: str) -> None:
        self.disk = disk
        self.pure = PurePosixPath("/", *parts)

    def __truediv__(self, other: str | os.PathLike[str]) -> DiskPath:
        return DiskPath(self.disk, str(self.pure / other))

    def __str__(self) -> str:
        return str(self.pure)

    def __fspath__(self) -> str:
        return str(self.pure)

    def __repr__(self) -> str:
        return f"DiskPath({str(self.pure)!r} on {self.disk.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DiskPath) and other.pure == self.pure and other.disk is self.disk

    def __hash__(self) -> int:
        return hash(self.pure)

    @property
    def name(self) -> str:
        """The last part."""
        return self.pure.name

    @property
    def suffix(self) -> str:
        """The ending of the last part, with its dot."""
        return self.pure.suffix

    @property
    def parent(self) -> DiskPath:
        """The directory above."""
        return DiskPath(self.disk, str(self.pure.parent))

    def with_name(self, name: str) -> DiskPath:
        """The same with another last part."""
        return DiskPath(self.disk, str(self.pure.with_name(name)))

    def with_suffix(self, suffix: str) -> DiskPath:
        """The same with another ending."""
        return DiskPath(self.disk, str(self.pure.with_suffix(suffix)))

    async def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> DiskFile:
        """As `Disk.open_file`."""
        return await self.disk.open_file(str(self), mode, buffering, encoding, errors, newline)

    async def read_bytes(self) -> bytes:
        """The whole content."""
        async with await self.open("rb") as file:
            return bytes(await file.read())

    async def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        """The whole content as text."""
        async with await self.open("r", encoding=encoding, errors=errors) as file:
            return str(await file.read())

    async def write_bytes(self, data: Any) -> int:
        """Replace the content; nothing is synced."""
        async with await self.open("wb") as file:
            return await file.write(data)

    async def write_text(self, data: str, encoding: str | None = None, errors: str | None = None) -> int:
        """Replace the content by text; nothing is synced."""
        async with await self.open("w", encoding=encoding, errors=errors) as file:
            return await file.write(data)

    async def exists(self) -> bool:
        """Whether there is something."""
        return await self.disk.exists(str(self))

    async def is_file(self) -> bool:
        """Whether there is a file."""
        return await self.exists() and not (await self.stat()).is_directory

    async def is_dir(self) -> bool:
        """Whether there is a directory."""
        return await self.exists() and (await self.stat()).is_directory

    async def stat(self) -> Status:
        """Size and kind."""
        return await self.disk.stat(str(self))

    async def iterdir(self) -> list[DiskPath]:
        """What is in a directory, sorted."""
        return [self / name for name in await self.disk.listdir(str(self))]

    async def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Make a directory, and those above if ``parents``."""
        try:
            await self.disk.mkdir(str(self))
        except FileNotFoundError:
            if not parents or self.parent == self:
                raise
            await self.parent.mkdir(parents=True, exist_ok=True)
            await self.mkdir(exist_ok=exist_ok)
        except FileExistsError:
            if not exist_ok or not await self.is_dir():
                raise

    async def rmdir(self) -> None:
        """Remove an empty directory."""
        await self.disk.rmdir(str(self))

    async def unlink(self, missing_ok: bool = False) -> None:
        """Remove a file."""
        try:
            await self.disk.unlink(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    async def rename(self, target: str | os.PathLike[str]) -> DiskPath:
        """Move it, replacing what is at the target; the result is the new path."""
        await self.disk.rename(str(self), os.fspath(target))
        return DiskPath(self.disk, os.fspath(target))

    async def replace(self, target: str | os.PathLike[str]) -> DiskPath:
        """The same as `rename`, as on POSIX."""
        return await self.rename(target)

    async def touch(self, *, exist_ok: bool = True) -> None:
        """Make an empty file if there is none."""
        async with await self.open("ab" if exist_ok else "xb"):
            pass

    async def fsync(self) -> None:
        """Make a file's content, or a directory's entries, durable."""
        if await self.is_dir():
            await self.disk.fsync_directory(str(self))
        else:
            async with await self.open("rb+") as file:
                await file.fsync()
