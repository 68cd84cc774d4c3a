"""What ``os.scandir`` gives on a node's disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any


class Entry:
    """One name in a directory, as ``os.DirEntry`` is one."""

    __slots__ = ("_is_directory", "_status", "name", "path")

    def __init__(self, name: Any, path: Any, is_directory: bool, status: Any) -> None:
        self.name = name
        self.path = path
        self._is_directory = is_directory
        self._status = status

    def __fspath__(self) -> Any:
        return self.path

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it was a directory when the names were read."""
        return self._is_directory

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it was a file when the names were read."""
        return not self._is_directory

    def is_symlink(self) -> bool:
        """Never."""
        return False

    def is_junction(self) -> bool:
        """Never."""
        return False

    def inode(self) -> int:
        """Its number."""
        return int(self.stat().st_ino)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """As `os.stat`."""
        found: os.stat_result = self._status(self.path)
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
