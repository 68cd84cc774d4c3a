"""`DiskPath`: a path on a simulated disk, with the methods of ``trio.Path``.

Joining, taking apart and comparing is ``pathlib``'s; whatever asks the disk is async. Every path is absolute, since the
root is every program's working directory; two are equal if their parts and their disks are. What ``trio.Path`` has and
a path here has not is what a simulated disk has not: permissions, owners, special files; asking for it says so.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any, Protocol

import trio

from detrun.world.disk.file_system import Status
from detrun.world.disk.files import DiskFile
from detrun.world.disk.lookup import NOTHING_THERE, failure
from detrun_scheduler.errors import UsageError


class DiskOfPaths(Protocol):
    """A disk as its paths see it: what `Disk` offers by name."""

    name: str

    async def open_file(
        self,
        file: str,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> DiskFile:
        """Open a file."""

    async def mkdir(self, path: str) -> None:
        """Make a directory."""

    async def rmdir(self, path: str) -> None:
        """Remove an empty directory."""

    async def unlink(self, path: str) -> None:
        """Remove a file."""

    async def rename(self, source: str, destination: str) -> None:
        """Move a file or directory."""

    async def listdir(self, path: str = "/") -> list[str]:
        """The names in a directory."""

    async def symlink(self, target: str, path: str) -> None:
        """Make a symbolic link."""

    async def link(self, source: str, destination: str) -> None:
        """Give a file one more name."""

    async def readlink(self, path: str) -> str:
        """The path that a symbolic link holds."""

    async def resolve(self, path: str, strict: bool = False) -> str:
        """The path behind all links."""

    async def stat(self, path: str, *, follow_symlinks: bool = True) -> Status:
        """Size and kind of what is at a path."""

    async def exists(self, path: str, *, follow_symlinks: bool = True) -> bool:
        """Whether there is something at a path."""

    def is_symlink(self, path: str) -> bool:
        """Whether there is a symbolic link; in no time, as a listing tells it."""

    async def fsync_directory(self, path: str = "/") -> None:
        """Wait until the entries of a directory are on the disk."""


class DiskPath:
    """Made by `Disk.path`."""

    __slots__ = ("disk", "pure")

    def __init__(self, disk: DiskOfPaths, *parts: str) -> None:
        self.disk = disk
        self.pure = PurePosixPath("/", *parts)

    def __truediv__(self, other: str | os.PathLike[str]) -> DiskPath:
        return DiskPath(self.disk, str(self.pure / other))

    def __str__(self) -> str:
        return str(self.pure)

    def __fspath__(self) -> str:
        return str(self.pure)

    def __bytes__(self) -> bytes:
        return bytes(self.pure)

    def __repr__(self) -> str:
        return f"DiskPath({str(self.pure)!r} on {self.disk.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DiskPath) and other.pure == self.pure and other.disk is self.disk

    def __lt__(self, other: DiskPath) -> bool:
        return self.pure < other.pure

    def __le__(self, other: DiskPath) -> bool:
        return self.pure <= other.pure

    def __gt__(self, other: DiskPath) -> bool:
        return self.pure > other.pure

    def __ge__(self, other: DiskPath) -> bool:
        return self.pure >= other.pure

    def __hash__(self) -> int:
        return hash(self.pure)

    # Taking apart. What is not here is answered by pathlib, `relative_to` with a pure path, which knows no disk.

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and hasattr(PurePosixPath, name):
            return getattr(self.pure, name)
        if not name.startswith("_") and hasattr(trio.Path, name):
            raise AttributeError(
                f"a path on a simulated disk has no {name!r}: the disk has files, directories and links, but no "
                "permissions, owners or special files"
            )
        raise AttributeError(f"'DiskPath' object has no attribute {name!r}")

    @property
    def parent(self) -> DiskPath:
        """The directory above."""
        return DiskPath(self.disk, str(self.pure.parent))

    @property
    def parents(self) -> Sequence[DiskPath]:
        """The directories above, nearest first."""
        return tuple(DiskPath(self.disk, str(one)) for one in self.pure.parents)

    def joinpath(self, *others: str | os.PathLike[str]) -> DiskPath:
        """As ``/`` with each in turn."""
        return DiskPath(self.disk, str(self.pure.joinpath(*others)))

    def with_name(self, name: str) -> DiskPath:
        """The same with another last part."""
        return DiskPath(self.disk, str(self.pure.with_name(name)))

    def with_stem(self, stem: str) -> DiskPath:
        """The same with another last part, up to its ending."""
        return DiskPath(self.disk, str(self.pure.with_stem(stem)))

    def with_suffix(self, suffix: str) -> DiskPath:
        """The same with another ending."""
        return DiskPath(self.disk, str(self.pure.with_suffix(suffix)))

    # Content.

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

    async def read_text(
        self, encoding: str | None = None, errors: str | None = None, newline: str | None = None
    ) -> str:
        """The whole content as text."""
        async with await self.open("r", encoding=encoding, errors=errors, newline=newline) as file:
            return str(await file.read())

    async def write_bytes(self, data: Any) -> int:
        """Replace the content; nothing is synced."""
        async with await self.open("wb") as file:
            return await file.write(data)

    async def write_text(
        self, data: str, encoding: str | None = None, errors: str | None = None, newline: str | None = None
    ) -> int:
        """Replace the content by text; nothing is synced."""
        async with await self.open("w", encoding=encoding, errors=errors, newline=newline) as file:
            return await file.write(data)

    async def fsync(self) -> None:
        """Make a file's content, or a directory's entries, durable."""
        if await self.is_dir():
            await self.disk.fsync_directory(str(self))
        else:
            async with await self.open("rb+") as file:
                await file.fsync()

    # Asking.

    async def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is something."""
        return await self.disk.exists(str(self), follow_symlinks=follow_symlinks)

    async def is_file(self) -> bool:
        """Whether there is a file."""
        return await self.exists() and not (await self.stat()).is_directory

    async def is_dir(self) -> bool:
        """Whether there is a directory."""
        return await self.exists() and (await self.stat()).is_directory

    async def is_symlink(self) -> bool:
        """Whether there is a symbolic link."""
        try:
            return stat.S_ISLNK((await self.lstat()).st_mode)
        except OSError as error:
            if error.errno in NOTHING_THERE:
                return False
            raise

    async def is_mount(self) -> bool:
        """Whether it is the root."""
        await trio.lowlevel.checkpoint()
        return str(self) == "/"

    async def stat(self, *, follow_symlinks: bool = True) -> Status:
        """Size and kind."""
        return await self.disk.stat(str(self), follow_symlinks=follow_symlinks)

    async def lstat(self) -> Status:
        """The same, of a symbolic link itself."""
        return await self.stat(follow_symlinks=False)

    async def readlink(self) -> PurePosixPath:
        """The path that a symbolic link holds, as it holds it."""
        return PurePosixPath(await self.disk.readlink(str(self)))

    async def samefile(self, other: str | os.PathLike[str]) -> bool:
        """Whether both are the same file or directory."""
        return (await self.stat()).st_ino == (await self.disk.stat(os.fspath(other))).st_ino

    async def absolute(self) -> DiskPath:
        """This path."""
        await trio.lowlevel.checkpoint()
        return self

    async def resolve(self, strict: bool = False) -> DiskPath:
        """Without ``..`` and symbolic links.

        Raises:
            OSError: ``strict``, and there is nothing, or links without end.
        """
        return DiskPath(self.disk, await self.disk.resolve(str(self), strict))

    # Directories.

    async def iterdir(self) -> list[DiskPath]:
        """What is in a directory, sorted."""
        return [self / name for name in await self.disk.listdir(str(self))]

    async def glob(self, pattern: str) -> list[DiskPath]:
        """What is below and matches, ``**`` for any number of directories; sorted, each once.

        Raises:
            NotImplementedError: the pattern is absolute, as ``pathlib`` has it.
            ValueError: it is empty.
        """
        if pattern.startswith("/"):
            raise NotImplementedError("Non-relative patterns are unsupported")
        parts = PurePosixPath(pattern).parts
        if not parts:
            raise ValueError(f"Unacceptable pattern: {pattern!r}")
        found: dict[DiskPath, None] = {}
        await self._match(parts, found)
        return sorted(found)

    async def rglob(self, pattern: str) -> list[DiskPath]:
        """As `glob` with ``**/`` in front."""
        return await self.glob(f"**/{pattern}")

    async def _match(self, parts: Sequence[str], found: dict[DiskPath, None]) -> None:
        first, rest = parts[0], parts[1:]
        if first == "**":
            if rest:
                await self._match(rest, found)
            else:
                found[self] = None
        if not await self.is_dir():
            return
        for entry in await self.iterdir():
            is_dir = await entry.is_dir()
            if first == "**":
                if is_dir and not self.disk.is_symlink(str(entry)):
                    await entry._match(parts, found)
            elif fnmatchcase(entry.pure.name, first):
                if not rest:
                    found[entry] = None
                elif is_dir:
                    await entry._match(rest, found)

    async def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Make a directory, and those above if ``parents``; there are no permissions, so ``mode`` is not kept."""
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

    async def symlink_to(self, target: str | os.PathLike[str], target_is_directory: bool = False) -> None:
        """Make this path a symbolic link that holds ``target`` as it is given."""
        await self.disk.symlink(os.fspath(target), str(self))

    async def hardlink_to(self, target: str | os.PathLike[str]) -> None:
        """Make this path one more name of the file ``target``.

        Raises:
            OSError: EXDEV if the target is on another disk.
        """
        if isinstance(target, DiskPath) and target.disk is not self.disk:
            raise failure(errno.EXDEV, str(target), str(self))
        await self.disk.link(os.fspath(target), str(self))

    async def rename(self, target: str | os.PathLike[str]) -> DiskPath:
        """Move it, replacing what is at the target; the result is the new path."""
        if isinstance(target, DiskPath) and target.disk is not self.disk:
            raise UsageError(f"cannot rename {self!r} to {target!r}: a rename does not lead to another disk")
        await self.disk.rename(str(self), os.fspath(target))
        return DiskPath(self.disk, os.fspath(target))

    async def replace(self, target: str | os.PathLike[str]) -> DiskPath:
        """The same as `rename`, as on POSIX."""
        return await self.rename(target)

    async def touch(self, mode: int = 0o666, exist_ok: bool = True) -> None:
        """Make an empty file if there is none; there are no permissions, so ``mode`` is not kept."""
        async with await self.open("ab" if exist_ok else "xb"):
            pass
