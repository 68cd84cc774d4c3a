"""What ``os.scandir`` gives on a node's disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from detrun.world.disk.image import Target


class Entry:
    """One name in a directory, as ``os.DirEntry`` is one."""

    __slots__ = ("_status", "_target", "name", "path")

    def __init__(self, name: Any, path: Any, target: Target, status: Any) -> None:
        self.name = name
        self.path = path
        self._target = target
        self._status = status

    def __fspath__(self) -> Any:
        return self.path

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it was a directory when the names were read; of a link that is followed, whether it leads to one."""
        if not self.is_symlink():
            return self._target.is_directory
        return follow_symlinks and self._leads_to(stat.S_ISDIR)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it was a file when the names were read; of a link that is followed, whether it leads to one."""
        if not self.is_symlink():
            return not self._target.is_directory
        return follow_symlinks and self._leads_to(stat.S_ISREG)

    def _leads_to(self, kind: Callable[[int], bool]) -> bool:
        try:
            return kind(self.stat().st_mode)
        except FileNotFoundError:
            return False

    def is_symlink(self) -> bool:
        """Whether it was a symbolic link when the names were read."""
        return self._target.link is not None

    def is_junction(self) -> bool:
        """Never."""
        return False

    def inode(self) -> int:
        """Its number."""
        return self._target.inode

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """As `os.stat`."""
        found: os.stat_result = self._status(self.path, follow_symlinks=follow_symlinks)
        return found

    def __repr__(self) -> str:
        return f"<DirEntry {self.name!r}>"


class Entries:
    """All of them, to be iterated over and closed."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> Iterator[Entry]:
        return self

    def __next__(self) -> Entry:
        return next(self._entries)

    def close(self) -> None:
        """Give no more."""
        self._entries = iter(())

    def __enter__(self) -> Entries:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
