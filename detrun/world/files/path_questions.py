"""`PathQuestions`: what ``os`` says about paths in the code of a node.

The methods have the names and arguments of ``os``.
"""

from __future__ import annotations

import errno
import os
import stat as kinds
from functools import partial
from typing import Any

from detrun.world.disk.lookup import failure
from detrun.world.files.entries import Entries, Entry
from detrun.world.files.file_calls import stat_result
from detrun.world.files.node_paths import NodePaths
from detrun_scheduler import current
from detrun_scheduler.environment.file_names import original as real
from detrun_scheduler.environment.hidden_state import allowed

_SINCE = 7  # the rules (`THREAD_RULES`) since when folders above real files are looked up without a step
_LIMITS = {"PC_LINK_MAX": 127, "PC_NAME_MAX": 255, "PC_NO_TRUNC": 1, "PC_PATH_MAX": 4096, "PC_PIPE_BUF": 4096}


class PathQuestions(NodePaths):
    """What asks and changes nothing."""

    def stat(self, path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
        """As `os.stat`."""
        if isinstance(path, int):
            return self.fstat(path) if path in self.descriptors else real("stat")(path)
        return self._status("stat" if follow_symlinks else "lstat", path, dir_fd, follow=follow_symlinks)

    def lstat(self, path: Any, *, dir_fd: int | None = None) -> os.stat_result:
        """As `os.lstat`."""
        return self._status("lstat", path, dir_fd, follow=False)

    def _status(self, name: str, path: Any, dir_fd: int | None, *, follow: bool) -> os.stat_result:
        where = self.absolute(path, dir_fd)
        if (
            self.host.leads(where)
            and not self.on_disk(where, follow=False)
            and current.require(f"os.{name}").thread_rules >= _SINCE
        ):
            # `os.path.realpath` of each loaded module asks for these, and how many are loaded is no part of the run.
            raise failure(errno.ENOENT, where)
        found = self._ask(name, partial(self.disk.file_system.status, follow=follow), path, dir_fd, follow=follow)
        return found if isinstance(found, os.stat_result) else stat_result(found)

    def access(
        self,
        path: Any,
        mode: int,
        *,
        dir_fd: int | None = None,
        effective_ids: bool = False,
        follow_symlinks: bool = True,
    ) -> bool:
        """As `os.access`: what is on the disk may be read and written."""
        try:
            where = self.led(path, dir_fd, follow=follow_symlinks)
            if mode & os.W_OK and self.is_real(where):
                return False
            found = self.stat(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        except OSError:
            return False
        return not mode & os.X_OK or kinds.S_ISDIR(found.st_mode) or bool(found.st_mode & 0o111)

    def listdir(self, path: Any = None) -> list[Any]:
        """As `os.listdir`; sorted."""
        path = "." if path is None else path
        if isinstance(path, int):
            path = self.descriptors.opened(path).name
        names = set(self._ask("listdir", self.disk.file_system.listdir, path, None))
        beside = self.beside(self.led(path))
        if beside is not None:
            with allowed():
                names.update(real("listdir")(beside))
        return [os.fsencode(name) for name in sorted(names)] if isinstance(os.fspath(path), bytes) else sorted(names)

    def scandir(self, path: Any = None) -> Any:
        """As `os.scandir`; sorted."""
        path = "." if path is None else path
        at: Any = self.descriptors.opened(path).name if isinstance(path, int) else os.fspath(path)
        where = self.led(at)
        if self.is_real(where):
            with allowed():
                return real("scandir")(where)
        entries: list[Any] = []
        for name in self._metadata(self.disk.file_system.listdir, where, path=where):
            target = self.disk.file_system.existing(f"{where.rstrip('/')}/{name}", follow=False)
            shown = os.fsencode(name) if isinstance(at, bytes) else name
            place = shown if isinstance(path, int) else os.path.join(at, shown)
            status = self.stat if not isinstance(path, int) else partial(self.stat, dir_fd=path)
            entries.append(Entry(shown, place, target, status))
        beside = self.beside(where)
        if beside is not None:
            with allowed():
                names = {entry.name for entry in entries}
                found = real("scandir")(os.fsencode(beside) if isinstance(at, bytes) else beside)
                entries = sorted([*entries, *(one for one in found if one.name not in names)], key=_name_of)
        return Entries(entries)

    def readlink(self, path: Any, *, dir_fd: int | None = None) -> Any:
        """As `os.readlink`."""
        found = self._ask("readlink", self.disk.file_system.readlink, path, dir_fd, follow=False)
        return os.fsencode(found) if isinstance(os.fspath(path), bytes) else found

    def statvfs(self, path: Any) -> os.statvfs_result:
        """As `os.statvfs`."""
        if isinstance(path, int):
            return self.fstatvfs(path)
        self.stat(path)
        return self.statvfs_result()

    def listxattr(self, path: Any = None, *, follow_symlinks: bool = True) -> list[str]:
        """As `os.listxattr`: there are none."""
        if not isinstance(path, int):
            self.stat("." if path is None else path, follow_symlinks=follow_symlinks)
        return []

    def getcwd(self) -> str:
        """As `os.getcwd`: ENOENT where it has been removed."""
        if not self.is_real(self.working_directory):
            self.disk.file_system.directory_at(self.working_directory)
        return self.working_directory

    def getcwdb(self) -> bytes:
        """As `os.getcwdb`."""
        return os.fsencode(self.getcwd())

    def chdir(self, path: Any) -> None:
        """As `os.chdir`."""
        where = self.descriptors.opened(path).name if isinstance(path, int) else self.led(path)
        if not self.is_real(where):
            self._metadata(self.disk.file_system.directory_at, where, path=where)
            where = self.disk.file_system.physical(where)
        elif not kinds.S_ISDIR(self.stat(where).st_mode):
            raise failure(errno.ENOTDIR, where)
        self.working_directory = os.path.normpath(where)

    fchdir = chdir

    def pathconf(self, path: Any, name: Any) -> int:
        """As `os.pathconf`."""
        if not isinstance(path, int):
            self.stat(path)
        if isinstance(name, str) and name not in os.pathconf_names:
            raise ValueError("unrecognized configuration name")
        number = os.pathconf_names[name] if isinstance(name, str) else name
        return next((limit for one, limit in _LIMITS.items() if os.pathconf_names.get(one) == number), -1)

    fpathconf = pathconf

    def umask(self, mask: int, /) -> int:
        """As `os.umask`."""
        before, self.mask = self.mask, mask & 0o777
        return before


def _name_of(entry: Any) -> Any:
    return entry.name
